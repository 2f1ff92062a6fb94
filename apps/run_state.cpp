// SPDX-License-Identifier: Apache-2.0
#include "apps/run_state.h"

#include "nn/optim/adam.h"
#include "nn/optim/sgd.h"

namespace fovea::apps {
namespace {

/// Weights decay, biases and normalisation do not.
nn::Optimizer make_optimizer(const Config& config, const nn::Module& module) {
  const nn::Role weights[] = {nn::Role::weight};
  const nn::Role others[] = {nn::Role::bias, nn::Role::scale, nn::Role::shift};
  std::vector<nn::ParameterGroup> groups{
      nn::parameters_of(module, weights, config.real("optim.weight_decay"))};
  if (nn::ParameterGroup rest = nn::parameters_of(module, others); !rest.parameters.empty())
    groups.push_back(std::move(rest));
  const double lr = config.real("optim.lr");
  if (config.text("optim.name") == "sgd")
    return nn::sgd(std::move(groups), lr, {.momentum = static_cast<float>(config.real("optim.momentum"))});
  return nn::adam(std::move(groups), lr);
}

}  // namespace

RunState::RunState(const Config& config, Task& task)
    : optimizer(make_optimizer(config, task.model())),
      config_(config),
      task_(task),
      plateau_(config.real("optim.lr"), {.mode = nn::PlateauMode::max,
                                         .factor = config.real("optim.schedule_factor"),
                                         .patience = config.integer("optim.schedule_patience"),
                                         .threshold = 0.01}) {}

double RunState::lr() const {
  if (config_.text("optim.schedule") != "step") return plateau_.lr();  // which never falls unless it is fed
  nn::StepSchedule schedule(config_.real("optim.lr"), config_.integer("optim.schedule_every"),
                            config_.real("optim.schedule_factor"));
  schedule.load_state({{"epoch", static_cast<double>(step)}});
  return schedule.lr();
}

bool RunState::take_score(double score) {
  if (config_.text("optim.schedule") == "plateau") plateau_.step(score);
  const bool better = score > best || std::isnan(best);  // a first score that is not defined beats none
  if (better) best = score;
  return better;
}

nn::State RunState::to_tensors() const {
  nn::State state = nn::with_prefix("model.", task_.model().state());
  state.merge(nn::with_prefix("optim.", optimizer.state()));
  state.merge(task_.constants());
  const Device host = Device::cpu({.threads = 1});
  const auto number = [&](double value) { return Tensor::full({}, value, DType::f64, host); };
  state["train.step"] = number(static_cast<double>(step));
  state["train.epoch"] = number(static_cast<double>(task_.position().epoch));
  state["train.batch"] = number(static_cast<double>(task_.position().batch));
  state["train.best"] = number(best);
  for (const auto& [name, value] : plateau_.state()) state["plateau." + name] = number(value);
  return state;
}

void RunState::from_tensors(const nn::State& state) {
  task_.model().load_state(nn::without_prefix("model.", state));
  optimizer.load_state(nn::without_prefix("optim.", state));
  step = static_cast<std::int64_t>(state.at("train.step").item());
  task_.seek({static_cast<std::int64_t>(state.at("train.epoch").item()),
              static_cast<std::int64_t>(state.at("train.batch").item())});
  best = state.at("train.best").item();
  nn::ScheduleState plateau;
  for (const auto& [name, value] : nn::without_prefix("plateau.", state)) plateau[name] = value.item();
  plateau_.load_state(plateau);
}

Tensor train_step(const Config& config, Task& task, RunState& run) {
  const nn::Batch batch = task.next_batch();
  Tape tape({static_cast<std::uint64_t>(config.integer("train.seed")), static_cast<std::uint32_t>(run.step)});
  const StepLoss loss = task.trainable().loss(tape, batch);
  tape.backward(loss.total);
  run.optimizer.set_lr(run.lr());
  run.optimizer.step();
  run.optimizer.zero_grad();
  ++run.step;
  return loss.shown;
}

}  // namespace fovea::apps
