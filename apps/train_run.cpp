// SPDX-License-Identifier: Apache-2.0
#include <fmt/format.h>

#include <chrono>
#include <cmath>
#include <nlohmann/json.hpp>

#include "apps/checkpoint.h"
#include "apps/progress.h"
#include "apps/retina_report.h"
#include "apps/retina_task.h"
#include "apps/stop_signal.h"
#include "apps/train.h"
#include "apps/version.h"
#include "autograd/ops/elementwise.h"
#include "models/retina/predict.h"
#include "nn/data/loader.h"
#include "nn/loss.h"
#include "nn/optim/adam.h"
#include "nn/optim/schedule.h"
#include "nn/optim/sgd.h"

namespace fovea::apps {
namespace {

using Clock = std::chrono::steady_clock;

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

/// One run from its first step, or from its last checkpoint, to its summary.
class Trainer {
 public:
  Trainer(const TrainRequest& request, RunFolder& run)
      : request_(request),
        config_(request.config),
        run_(run),
        device_(request.device == "auto" ? Device::best() : Device::parse(request.device)),
        // The emulation would take hours for the thousands of windows of an evaluation.
        eval_device_(device_.kind() == DeviceKind::simt ? Device::cpu() : device_),
        data_(load_retina_data(config_)),
        model_(make_retina_model(config_, data_.train.cells(), device_)),
        optimizer_(make_optimizer(config_, *model_.module)),
        plateau_(config_.real("optim.lr"), {.mode = nn::PlateauMode::max,
                                            .factor = config_.real("optim.schedule_factor"),
                                            .patience = config_.integer("optim.schedule_patience"),
                                            .threshold = 0.01}),
        loader_(data_.train,
                {.batch = config_.integer("train.batch"),
                 .shuffle = true,
                 .drop_last = true,
                 .seed = static_cast<std::uint64_t>(config_.integer("train.seed"))},
                device_) {
    if (!(eval_device_ == device_))
      eval_model_ = make_retina_model(config_, data_.train.cells(), eval_device_);
    total_steps_ = config_.integer("train.steps");
    const std::int64_t by_epochs = config_.integer("train.epochs") * loader_.batches_per_epoch();
    if (total_steps_ == 0 || (by_epochs > 0 && by_epochs < total_steps_)) total_steps_ = by_epochs;
  }

  int run() {
    run_.write("config.toml", config_.to_toml());
    resume();
    StopSignal stop;
    Progress progress(step_, total_steps_);
    describe(progress);
    const std::int64_t checkpoint_every = config_.integer("train.checkpoint_every");
    const std::int64_t eval_every = config_.integer("train.eval_every");
    const std::int64_t log_every = config_.integer("train.log_every");
    double loss = std::nan("");
    bool stopping = false;
    while (step_ < total_steps_ && !stopping) {
      const Tensor loss_value = step();
      ++step_;
      const bool last = step_ == total_steps_;
      // The loss stays on the device between these steps: reading it would make a GPU wait.
      if (device_.host_memory() || step_ % log_every == 0 || last) loss = finite(loss_value.item());
      progress.step(step_, loss);
      if (step_ % log_every == 0 || last) log(loss);
      if (last || (eval_every > 0 && step_ % eval_every == 0)) evaluate(progress);
      stopping = stop.requested();  // asked once a step: whoever leaves the loop has saved
      if (last || is_best_ || stopping || (checkpoint_every > 0 && step_ % checkpoint_every == 0)) save();
    }
    progress.finish();
    if (stopping && step_ < total_steps_) {
      fmt::print(stderr, "stopped at step {}; go on with: fovea train {} --resume --out {}\n", step_,
                 config_.text("model.name"), run_.path().string());
      return stop.exit_code();
    }
    finish();
    return kDone;
  }

 private:
  void describe(Progress& progress) {
    progress.note(fmt::format("{}, {} parameters, {} windows of {} cells, {} steps of {} on {}",
                              config_.text("model.name"), model_.module->parameter_count(),
                              data_.train.size(), data_.train.cells(), total_steps_,
                              config_.integer("train.batch"), device_.description()));
  }

  /// Forward, loss, backward, update. Nothing in here reads a value back from the device.
  Tensor step() {
    std::optional<nn::Batch> batch = loader_.next();
    if (!batch) batch = loader_.next();  // the next epoch
    Tape tape({static_cast<std::uint64_t>(config_.integer("train.seed")), static_cast<std::uint32_t>(step_)});
    const Var drive = model_.drive(tape.input(batch->x));
    const Var rate = softplus(drive);
    Var loss = nn::PoissonLoss{}(rate, batch->target);
    const Tensor poisson = loss.value();
    if (const double c = config_.real("model.activity_l1"); c > 0)
      loss = loss + nn::activity_l1(rate, static_cast<float>(c));
    if (const double c = config_.real("model.drive_l1"); c > 0)
      loss = loss + nn::activity_l1(drive, static_cast<float>(c));
    tape.backward(loss);
    optimizer_.set_lr(lr());
    optimizer_.step();
    optimizer_.zero_grad();
    return poisson;
  }

  /// The step size of the next step.
  double lr() const {
    if (config_.text("optim.schedule") != "step") return plateau_.lr();  // which never falls unless it is fed
    nn::StepSchedule schedule(config_.real("optim.lr"), config_.integer("optim.schedule_every"),
                              config_.real("optim.schedule_factor"));
    schedule.load_state({{"epoch", static_cast<double>(step_)}});
    return schedule.lr();
  }

  double finite(double loss) const {
    if (std::isfinite(loss)) return loss;
    throw IoError(fmt::format(
        "the loss became {} at step {}; the last checkpoint is kept. Try a smaller optim.lr", loss, step_));
  }

  void log(double loss) { run_.metrics().append(step_, {{"loss", loss}, {"lr", optimizer_.lr()}}); }

  nn::Module& model_for_evaluation() {
    if (!eval_model_.module) return *model_.module;
    eval_model_.module->load_state(model_.module->state());
    return *eval_model_.module;
  }

  void evaluate(Progress& progress) {
    const retina::Predictions held_out =
        retina::predict(model_for_evaluation(), data_.validation, eval_device_);
    const RetinaScores scores = score(held_out.rate, held_out.target);
    const double r = scores.pearson.mean;
    if (config_.text("optim.schedule") == "plateau") plateau_.step(r);
    is_best_ = r > best_ || std::isnan(best_);  // a first score that is not defined is better than none
    if (is_best_) best_ = r;
    run_.metrics().append(step_, {{"val_pearson", r}, {"val_log_likelihood", scores.log_likelihood.mean}});
    progress.metric("val r", r);
  }

  /// A step from a finite loss can still leave weights that are not, and the next checkpoints would push out
  /// the good ones.
  void check_weights() const {
    for (const auto& [name, parameter] : model_.module->named_parameters())
      for (const float value : parameter->value.to_vector<float>())
        if (!std::isfinite(value))
          throw IoError(
              fmt::format("{} became {} at step {}; the last checkpoint is kept. Try a smaller optim.lr",
                          name, value, step_));
  }

  void save() {
    check_weights();
    nn::State state = nn::with_prefix("model.", model_.module->state());
    state.merge(nn::with_prefix("optim.", optimizer_.state()));
    const Device host = Device::cpu({.threads = 1});
    const auto number = [&](double value) { return Tensor::full({}, value, DType::f64, host); };
    state["train.step"] = number(static_cast<double>(step_));
    state["train.epoch"] = number(static_cast<double>(loader_.position().epoch));
    state["train.batch"] = number(static_cast<double>(loader_.position().batch));
    state["train.best"] = number(best_);
    for (const auto& [name, value] : plateau_.state()) state["plateau." + name] = number(value);
    state["norm.mean"] = number(data_.train.normalization().mean);
    state["norm.sd"] = number(data_.train.normalization().sd);
    save_checkpoint(run_, step_, state, is_best_);
    is_best_ = false;
  }

  void resume() {
    if (const auto latest = run_.latest()) {
      const nn::State state = load_checkpoint(latest->path, device_);
      model_.module->load_state(nn::without_prefix("model.", state));
      optimizer_.load_state(nn::without_prefix("optim.", state));
      step_ = static_cast<std::int64_t>(state.at("train.step").item());
      loader_.seek({static_cast<std::int64_t>(state.at("train.epoch").item()),
                    static_cast<std::int64_t>(state.at("train.batch").item())});
      best_ = state.at("train.best").item();
      nn::ScheduleState plateau;
      for (const auto& [name, value] : nn::without_prefix("plateau.", state)) plateau[name] = value.item();
      plateau_.load_state(plateau);
    } else if (request_.init_from) {
      const nn::State state = load_checkpoint(*request_.init_from, device_);
      model_.module->load_state(nn::without_prefix("model.", state));
    }
  }

  /// Scores of the best weights on the test movie, and everything a reader wants to see.
  void finish() {
    const Checkpoint best = find_checkpoint(run_.path(), "best");
    RetinaModel tested = make_retina_model(config_, data_.train.cells(), eval_device_);
    tested.module->load_state(nn::without_prefix("model.", load_checkpoint(best.path, eval_device_)));
    const retina::Predictions test = retina::predict(*tested.module, data_.test, eval_device_);
    const RetinaScores scores = score(test.rate, test.target);
    const nn::CellScores ceiling = nn::summarize(data_.ceiling);
    nlohmann::ordered_json summary{
        {"model", config_.text("model.name")},
        {"test_pearson", scores.pearson.mean},
        {"test_pearson_per_cell", scores.pearson.values},
        {"noise_ceiling", ceiling.mean},
        {"noise_ceiling_per_cell", data_.ceiling},
        {"share_of_ceiling", scores.pearson.mean / ceiling.mean},
        {"test_explained_variance", scores.explained_variance.mean},
        {"test_rmse_hz", scores.rmse_hz.mean},
        {"val_pearson", best_},
        {"best_step", best.step},
        {"steps", step_},
        {"parameters", model_.module->parameter_count()},
        {"seconds", std::chrono::duration<double>(Clock::now() - started_).count()},
        {"seed", config_.integer("train.seed")},
        {"device", device_.description()},
        {"build_id", build_id()},
        {"data", data_.path.string()},
        {"data_checksum", data_.checksum},
    };
    if (const std::string& baseline = config_.text("eval.baseline"); !baseline.empty()) {
      const auto other = read_summary(baseline);
      summary[other.at("model").get<std::string>() + "_test_pearson"] = other.at("test_pearson");
    }
    run_.write("summary.json", summary.dump(2) + "\n");
    write_retina_report(run_.path(), config_, data_, tested, test);
    fmt::print("{}", scores_table(data_, scores, true));
    fmt::print("{}\n", (run_.path() / "report.html").string());
  }

  const TrainRequest& request_;
  const Config& config_;
  RunFolder& run_;
  Clock::time_point started_ = Clock::now();
  Device device_, eval_device_;
  RetinaData data_;
  RetinaModel model_, eval_model_;
  nn::Optimizer optimizer_;
  nn::Plateau plateau_;
  nn::Loader loader_;
  std::int64_t step_ = 0, total_steps_ = 0;
  double best_ = std::nan("");
  bool is_best_ = false;
};

}  // namespace

int train(const TrainRequest& request, RunFolder& run) { return Trainer(request, run).run(); }

}  // namespace fovea::apps
