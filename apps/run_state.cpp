// SPDX-License-Identifier: Apache-2.0
#include "apps/run_state.h"

#include <fmt/format.h>
#include <fmt/ranges.h>

#include <cmath>
#include <sstream>
#include <vector>

#include "apps/version.h"
#include "nn/optim/adam.h"
#include "nn/optim/clip.h"
#include "nn/optim/rmsprop.h"
#include "nn/optim/sgd.h"

namespace fovea::apps {
namespace {

/// The settings that must stay as they are while a run goes on, one "key = value" a line. Where files lie is not
/// among them: data are known by their checksum.
std::string fixed_settings(const Config& config) {
  std::string text;
  for (const auto& [key, value] : config.listing())
    if (!may_change_on_resume(key)) text += fmt::format("{} = {}\n", key, value);
  return text;
}

/// "optim.lr was 0.01 and is 0.001", for each setting that both know
std::vector<std::string> differences(const std::string& saved_settings, const Config& config) {
  std::vector<std::string> found;
  std::istringstream lines(saved_settings);
  for (std::string line; std::getline(lines, line);)
    for (const auto& [key, value] : config.listing())
      if (line.starts_with(key + " = ") && line.substr(key.size() + 3) != value)
        found.push_back(fmt::format("{} was {} and is {}", key, line.substr(key.size() + 3), value));
  return found;
}

std::string note(const SavedRun& saved, const char* name) {
  const auto found = saved.notes.find(name);
  return found == saved.notes.end() ? std::string{} : found->second;
}

}  // namespace

namespace {

/// What decays, then what does not; a group without parameters is left out.
std::vector<nn::ParameterGroup> parameter_groups(const Config& config, const nn::Module& module) {
  const std::string& decays = config.text("optim.decays");
  nn::ParameterGroup decaying, others;
  decaying.weight_decay = config.real("optim.weight_decay");
  for (const nn::NamedParameter& named : module.named_parameters()) {
    const bool is_weight = named.parameter->role == nn::Role::weight;
    const bool is_kernel = is_weight && named.parameter->value.rank() == 4;
    const bool decay = decays == "all" || (decays == "convolutions" ? is_kernel : is_weight);
    (decay ? decaying : others).parameters.push_back(named);
  }
  std::vector<nn::ParameterGroup> groups;
  for (nn::ParameterGroup* group : {&decaying, &others})
    if (!group->parameters.empty()) groups.push_back(std::move(*group));
  return groups;
}

}  // namespace

nn::Optimizer make_optimizer(const Config& config, const nn::Module& module) {
  std::vector<nn::ParameterGroup> groups = parameter_groups(config, module);
  const double lr = config.real("optim.lr");
  const std::string& name = config.text("optim.name");
  const auto momentum = static_cast<float>(config.real("optim.momentum"));
  if (name == "nesterov" && momentum == 0.0f)
    throw UsageError("optim.name = nesterov needs optim.momentum above 0, as 0.9");
  if (name == "sgd" || name == "nesterov")
    return nn::sgd(std::move(groups), lr, {.momentum = momentum, .nesterov = name == "nesterov"});
  if (name == "rmsprop")
    return nn::rmsprop(std::move(groups), lr,
                       {.alpha = static_cast<float>(config.real("optim.alpha")),
                        .momentum = momentum,
                        .centered = config.flag("optim.centered")});
  return name == "adamw" ? nn::adamw(std::move(groups), lr) : nn::adam(std::move(groups), lr);
}

RunState::RunState(const Config& config, Task& task)
    : optimizer(make_optimizer(config, task.model())),
      config_(config),
      task_(task),
      plateau_(config.real("optim.lr"), {.mode = nn::PlateauMode::max,
                                         .factor = config.real("optim.schedule_factor"),
                                         .patience = config.integer("optim.schedule_patience"),
                                         .threshold = 0.01}) {}

double RunState::lr() const {
  const std::string& kind = config_.text("optim.schedule");
  if (kind == "milestones") {
    nn::MultiStep schedule(config_.real("optim.lr"), config_.integers("optim.schedule_milestones"),
                           config_.real("optim.schedule_factor"));
    schedule.load_state({{"epoch", static_cast<double>(step / task_.batches_per_epoch())}});
    return schedule.lr();
  }
  if (kind != "step") return plateau_.lr();  // which never falls unless it is fed
  nn::StepSchedule schedule(config_.real("optim.lr"), config_.integer("optim.schedule_every"),
                            config_.real("optim.schedule_factor"));
  schedule.load_state({{"epoch", static_cast<double>(step)}});
  return schedule.lr();
}

void RunState::clip_gradients() {
  const double norm = config_.real("optim.clip_norm"), value = config_.real("optim.clip_value");
  if (value > 0) nn::clip_gradients_by_value(task_.model().named_parameters(), value);
  if (norm > 0) nn::clip_gradients_by_norm(task_.model().named_parameters(), norm);
}

bool RunState::take_score(double score) {
  if (config_.text("optim.schedule") == "plateau") plateau_.step(score);
  if (std::isnan(reference_) ? !std::isnan(score) : score > reference_ + config_.real("train.min_delta")) {
    reference_ = score;
    bad_evaluations_ = 0;
  } else {
    ++bad_evaluations_;
  }
  const bool better = score > best || std::isnan(best);  // a first score that is not defined beats none
  if (better) {
    best = score;
    best_step = step;
  }
  return better;
}

void RunState::forget_best() {
  best = std::nan("");
  best_step = -1;
}

bool RunState::stalled() const {
  const std::int64_t patience = config_.integer("train.patience");
  return patience > 0 && bad_evaluations_ >= patience;
}

SavedRun RunState::save(const LogBytes& log_bytes) const {
  SavedRun saved;
  nn::State& state = saved.tensors;
  state = nn::with_prefix("model.", task_.model().state());
  state.merge(nn::with_prefix("optim.", optimizer.state()));
  state.merge(task_.constants());
  const Device host = Device::cpu({.threads = 1});
  const auto real = [&](const std::string& name, double value) {
    state[name] = Tensor::full({}, value, DType::f64, host);
  };
  const auto integer = [&](const std::string& name, auto value) {
    state[name] = Tensor::from(std::vector<std::int64_t>{static_cast<std::int64_t>(value)}, {}, host);
  };
  integer("train.step", step);
  integer("train.epoch", task_.position().epoch);
  integer("train.batch", task_.position().batch);
  real("best.score", best);
  integer("best.step", best_step);
  real("stop.reference", reference_);
  integer("stop.evaluations", bad_evaluations_);
  integer("log.metrics", log_bytes.metrics);
  integer("log.events", log_bytes.events);
  for (const auto& [name, value] : plateau_.state()) real("plateau." + name, value);
  saved.notes = {{"build", build_id()},
                 {"device", arithmetic_of(task_.device())},
                 {"data", task_.data_checksum()},
                 {"settings", fixed_settings(config_)}};
  return saved;
}

std::string RunState::restore(const SavedRun& saved, const std::filesystem::path& file) {
  if (const auto changed = differences(note(saved, "settings"), config_); !changed.empty())
    throw UsageError(
        fmt::format("{}: was made with other settings: {}; put them back, or start anew from its "
                    "weights with --init-from",
                    file.string(), fmt::join(changed, ", ")));
  if (note(saved, "data") != task_.data_checksum())
    throw UsageError(
        fmt::format("{}: was made with other data (checksum {}, now {}); give the same data with "
                    "--data",
                    file.string(), note(saved, "data"), task_.data_checksum()));
  try {
    load(saved.tensors);
  } catch (const Error& error) {
    throw IoError(fmt::format("{}: does not fit this model: {}", file.string(), error.what()));
  }

  const std::string build = note(saved, "build"), device = note(saved, "device");
  if (build == build_id() && device == arithmetic_of(task_.device())) return {};
  return fmt::format("the run was made by {} on {} and goes on with {} on {}: its last bits may differ",
                     build, device, build_id(), arithmetic_of(task_.device()));
}

void RunState::load(const nn::State& state) {
  const auto real = [&](const std::string& name) {
    const auto found = state.find(name);
    if (found == state.end()) throw ValueError(fmt::format("there is no '{}'", name));
    return found->second.item();
  };
  const auto integer = [&](const std::string& name) {
    const double value = real(name);
    constexpr double kMost = std::int64_t{1} << 53;  // beyond, doubles have gaps
    if (!(value >= -1 && value <= kMost) || value != std::floor(value))
      throw ValueError(fmt::format("'{}' is {}, expected a whole number", name, value));
    return static_cast<std::int64_t>(value);
  };
  task_.model().load_state(nn::without_prefix("model.", state));
  optimizer.load_state(nn::without_prefix("optim.", state));
  step = integer("train.step");
  task_.seek({integer("train.epoch"), integer("train.batch")});
  best = real("best.score");
  best_step = integer("best.step");
  reference_ = real("stop.reference");
  bad_evaluations_ = integer("stop.evaluations");
  logs = {static_cast<std::uint64_t>(integer("log.metrics")),
          static_cast<std::uint64_t>(integer("log.events"))};
  nn::ScheduleState plateau;
  for (const auto& [name, value] : nn::without_prefix("plateau.", state)) plateau[name] = value.item();
  plateau_.load_state(plateau);
}

void RunState::start_from(const SavedRun& saved, const std::filesystem::path& file) {
  try {
    task_.model().load_state(nn::without_prefix("model.", saved.tensors));
  } catch (const ValueError& error) {
    std::vector<std::string> other = differences(note(saved, "settings"), config_);
    std::erase_if(other, [](const std::string& text) { return !text.starts_with("model."); });
    throw IoError(fmt::format("{}: its weights do not fit this model: {}", file.string(),
                              other.empty() ? error.what() : fmt::format("{}", fmt::join(other, ", "))));
  }
}

std::string arithmetic_of(const Device& device) {
  const std::string text = device.description();
  return text.substr(0, text.find(", "));
}

void load_weights(nn::Module& into, const std::filesystem::path& file) {
  const nn::State weights = read_weights(file);
  try {
    into.load_state(weights);
  } catch (const ValueError& error) {
    throw IoError(fmt::format("{}: does not fit this model: {}", file.string(), error.what()));
  }
}

}  // namespace fovea::apps
