// SPDX-License-Identifier: Apache-2.0
#include "apps/train.h"

#include <fmt/format.h>
#include <fmt/ranges.h>

#include <CLI/CLI.hpp>
#include <algorithm>
#include <cstdio>
#include <memory>

#include "apps/cli.h"
#include "apps/model_list.h"
#include "apps/names.h"
#include "apps/trace.h"

namespace fovea::apps {
namespace {

std::string list(const std::vector<std::string>& parts) { return fmt::format("{}", fmt::join(parts, ", ")); }

/// The settings of the run in `folder`, over those of preset and --config; empty if it has none yet. A note tells
/// where these said otherwise, and in vain.
std::optional<Config> lay_saved_over(Config& config, const std::filesystem::path& folder,
                                     std::vector<std::string>& notes) {
  const std::filesystem::path path = folder / "config.toml";
  if (!std::filesystem::exists(path)) return std::nullopt;
  const Config wanted = config;
  try {
    config.load_toml(path);
  } catch (const UsageError& error) {
    throw UsageError(
        fmt::format("--resume: {}; is it a run of {}?", error.what(), config.text("model.name")));
  }
  std::vector<std::string> kept;
  for (const Key& key : config.keys())
    if (wanted.origin(key.name) != "default" && wanted.value(key.name) != config.value(key.name))
      kept.push_back(fmt::format("{} = {} (not {} of {})", key.name, to_toml(config.value(key.name)),
                                 to_toml(wanted.value(key.name)), wanted.origin(key.name)));
  if (!kept.empty()) notes.push_back(fmt::format("the resumed run keeps {}", list(kept)));
  return config;
}

/// What the command line sets must be among the settings that may change.
void check_changes(const Config& saved, const Config& config) {
  std::vector<std::string> refused;
  for (const Key& key : config.keys())
    if (!may_change_on_resume(key.name) && config.value(key.name) != saved.value(key.name))
      refused.push_back(fmt::format("{} = {} (not {} of {})", key.name, to_toml(saved.value(key.name)),
                                    to_toml(config.value(key.name)), config.origin(key.name)));
  if (refused.empty()) return;
  throw UsageError(
      fmt::format("--resume: the run was made with {}, which stays as it is; leave it out, or start "
                  "a new run from its weights with --init-from",
                  list(refused)));
}

/// A model that is fitted in one pass: the run says that it has no steps, and does not pass over a wish for some.
void no_steps(Config& config) {
  for (const char* key : {"train.steps", "train.epochs"})
    if (config.integer(key) > 0 && config.origin(key) != "default")
      throw UsageError(fmt::format(
          "{} = {} of {}: {} is fitted in one pass over the data and takes no steps; leave it out", key,
          config.integer(key), config.origin(key), config.text("model.name")));
  config.set("train.epochs", std::int64_t{0}, "default");
}

std::string models_text() {
  std::string text = "Models and their presets:\n";
  for (const ModelEntry& model : model_list()) {
    text += fmt::format("  {}: {}\n", model.name, model.summary);
    for (const Preset& preset : model.presets)
      text += fmt::format("    {}: {}\n", preset.name, preset.summary);
  }
  return text + "\nKeys for --set and --config, with their defaults (--keys shows a model's own):\n" +
         describe_keys(shared_keys());
}

int list_keys(const std::string& model) {
  fmt::print("{}", describe_keys(default_config(find_model(model)).keys()));
  return kDone;
}

int run_train(const TrainOptions& options) {
  std::vector<std::string> notes;
  const TrainRequest request = resolve_train(options, notes);
  for (const std::string& note : notes) fmt::print(stderr, "{}\n", note);
  RunFolder run = options.out ? RunFolder::open(*options.out, options.resume)
                              : RunFolder::open_new("runs", options.model);
  return train(request, run);
}

}  // namespace

void check_device_name(const std::string& device) {
  const std::vector<std::string> names{"auto", "cpu", "simt", "cuda"};
  if (std::find(names.begin(), names.end(), device) != names.end()) return;
  if (device.starts_with("cuda:") && device.size() > 5 && device.size() < 9 &&
      std::all_of(device.begin() + 5, device.end(), [](char c) { return c >= '0' && c <= '9'; }))
    return;
  throw UsageError(fmt::format("--device {}: expected auto, cpu, simt, cuda or cuda:N{}", device,
                               did_you_mean(device, names)));
}

TrainRequest resolve_train(const TrainOptions& options, std::vector<std::string>& notes) {
  check_device_name(options.device);
  const ModelEntry& model = find_model(options.model);
  Config config = default_config(model);
  if (!options.preset.empty()) {
    const Preset& preset = find_preset(model, options.preset);
    for (const auto& [key, value] : preset.settings) config.set(key, value, "preset " + preset.name);
  }
  if (options.config) config.load_toml(*options.config);
  if (options.resume && !options.out) throw UsageError("--resume: say which run to go on with: --out DIR");
  std::optional<Config> saved;
  if (options.resume) saved = lay_saved_over(config, *options.out, notes);
  for (const std::string& assignment : options.set) config.set_text(assignment, "--set");
  if (options.data) config.set("data.path", *options.data, "--data");
  if (options.seed) config.set("train.seed", *options.seed, "--seed");
  if (options.steps) {
    config.set("train.steps", *options.steps, "--steps");
    config.set("train.epochs", std::int64_t{0}, "--steps");
  }
  if (options.epochs) {
    config.set("train.epochs", *options.epochs, "--epochs");
    config.set("train.steps", std::int64_t{0}, "--epochs");
  }
  if (model.closed_form) no_steps(config);
  if (!model.closed_form && config.integer("train.steps") == 0 && config.integer("train.epochs") == 0)
    throw UsageError("train.steps and train.epochs are both 0: say when to stop, with --steps or --epochs");
  if (config.integer("train.patience") > 0 && config.integer("train.eval_every") == 0)
    throw UsageError(
        "train.patience counts evaluations, and train.eval_every = 0 asks for none before the last step");
  if (saved) check_changes(*saved, config);
  if (options.init_from && !std::filesystem::exists(*options.init_from))
    throw UsageError(fmt::format("--init-from {}: there is no such file", options.init_from->string()));
  if (options.profile) {
    const std::filesystem::path folder = std::filesystem::absolute(*options.profile).parent_path();
    if (!std::filesystem::is_directory(folder) || std::filesystem::is_directory(*options.profile))
      throw UsageError(
          fmt::format("--profile {}: expected a file in a folder that is there", options.profile->string()));
  }
  return {std::move(config), options.device,  options.resume,
          options.init_from, options.profile, options.anomaly};
}

void register_train(CLI::App& program, Action& action) {
  const auto options = std::make_shared<TrainOptions>();
  const auto keys = std::make_shared<bool>(false);
  CLI::App* command = program.add_subcommand("train", "Fit a model; leaves a run folder");
  command->add_option("MODEL", options->model, "Which model")->required();
  command->add_option("--preset", options->preset, "Settings under one name; none by default");
  command->add_option("--config", options->config, "Settings from a TOML file, over the preset");
  command->add_option("--set", options->set, "key=value, over the file; may be repeated")
      ->take_all()
      ->allow_extra_args(false);
  command->add_option("--data", options->data, "Data set: a name or a path (data.path)");
  command
      ->add_option("--device", options->device, "auto (the GPU if there is one), cpu, simt, cuda or cuda:N")
      ->capture_default_str();
  command->add_option("--seed", options->seed, "Fixes every random number (train.seed)")->default_str("1");
  CLI::Option* steps = command->add_option("--steps", options->steps, "Stop after so many steps");
  command->add_option("--epochs", options->epochs, "Stop after so many passes (train.epochs)")
      ->excludes(steps);
  command->add_option("--out", options->out, "Run folder")->default_str("runs/MODEL-N, the first free N");
  command->add_flag("--resume", options->resume, "Go on with the run in --out, from its last checkpoint");
  command->add_option("--init-from", options->init_from, "Start from the weights of this checkpoint");
  command->add_option(
      "--profile", options->profile,
      fmt::format("Write where the time goes, for chrome://tracing or Perfetto: the last {} spans, at "
                  "most {:.1f} MiB",
                  Trace::kMostSpans,
                  static_cast<double>(Trace::kMostSpans * Trace::kMostSpanBytes) / (1 << 20)));
  command->add_flag(
      "--anomaly", options->anomaly,
      "Look at every number of every step from the start (slow); without it, the steps since the last "
      "checkpoint are gone over when a number is not finite");
  command->add_flag("--keys", *keys, "List what can be set for this model, and stop");
  command->footer(models_text());
  command->callback([options, keys, &action] {
    action = [options, keys] { return *keys ? list_keys(options->model) : run_train(*options); };
  });
}

}  // namespace fovea::apps
