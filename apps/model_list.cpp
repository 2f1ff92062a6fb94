// SPDX-License-Identifier: Apache-2.0
#include "apps/model_list.h"

#include <fmt/format.h>
#include <fmt/ranges.h>

#include "apps/names.h"

namespace fovea::apps {
namespace {

ModelEntry deep_retina() {
  return {
      .name = "deep-retina",
      .summary = "two convolutions and a dense readout from 400 ms of stimulus to firing rates",
      .keys =
          {
              {"model.history", std::int64_t{40}, "stimulus frames of 10 ms that a response sees", 1, 1000},
              {"model.channels", Integers{8, 8}, "filters of the two convolutions", 1, 4096},
              {"model.kernels", Integers{15, 11}, "side lengths of their filters, pixels", 1, 255},
              {.name = "model.norm",
               .default_value = "unit",
               .doc = "batch normalisation after a convolution: per unit, per channel, or none",
               .choices = {"unit", "channel", "none"}},
              {"model.noise", 0.05, "SD of the Gaussian noise before each ReLU, in training only", 0, 10},
              {"model.activity_l1", 0.0, "penalty on the mean predicted rate", 0, 1e3},
              {"model.drive_l1", 0.0, "penalty on the mean size of what the softplus gets", 0, 1e3},
          },
      .presets =
          {
              {"demo",
               "minutes on two CPU cores, on ten minutes of simulated recording",
               {{"train.batch", std::int64_t{32}},
                {"train.steps", std::int64_t{4000}},
                {"train.epochs", std::int64_t{0}},
                {"train.eval_every", std::int64_t{500}},
                {"train.checkpoint_every", std::int64_t{500}},
                {"optim.lr", 1e-2},
                {"optim.schedule", std::string("step")},
                {"optim.schedule_every", std::int64_t{1600}},
                {"optim.schedule_factor", 0.3},
                {"optim.weight_decay", 1e-3}}},
              {"bn-cnn",
               "the batch-normalised network of Maheswaranathan et al. 2023, trained as published",
               {{"train.batch", std::int64_t{5000}},
                {"train.epochs", std::int64_t{250}},
                {"train.eval_every", std::int64_t{64}},
                {"optim.lr", 1e-2},
                {"optim.weight_decay", 2e-2},
                {"optim.schedule", std::string("plateau")},
                {"optim.schedule_factor", 0.2},
                {"optim.schedule_patience", std::int64_t{10}}}},
              {"nips-2016",
               "the network of McIntosh et al. 2016, trained as published",
               {{"model.channels", Integers{16, 8}},
                {"model.kernels", Integers{15, 9}},
                {"model.norm", std::string("none")},
                {"model.noise", 0.1},
                {"model.drive_l1", 1e-3},
                {"train.batch", std::int64_t{5000}},
                {"train.epochs", std::int64_t{50}},
                {"train.eval_every", std::int64_t{64}},
                {"optim.lr", 1e-3},
                {"optim.weight_decay", 2e-3}}},
          },
  };
}

ModelEntry ln() {
  return {
      .name = "ln",
      .summary = "one linear filter and one nonlinearity a cell: the baseline",
      .keys = {{"model.history", std::int64_t{40}, "stimulus frames of 10 ms that a response sees", 1, 1000},
               {"model.activity_l1", 0.0, "penalty on the mean predicted rate", 0, 1e3},
               {"model.drive_l1", 0.0, "penalty on the mean size of what the softplus gets", 0, 1e3}},
      .presets = {{"demo",
                   "half a minute on two CPU cores, on ten minutes of simulated recording",
                   {{"train.batch", std::int64_t{128}},
                    {"train.steps", std::int64_t{800}},
                    {"train.epochs", std::int64_t{0}},
                    {"train.eval_every", std::int64_t{100}},
                    {"train.checkpoint_every", std::int64_t{400}},
                    {"optim.lr", 1e-4},
                    {"optim.weight_decay", 1e-2}}}},
  };
}

}  // namespace

const std::vector<ModelEntry>& model_list() {
  static const std::vector<ModelEntry> models{deep_retina(), ln()};
  return models;
}

const ModelEntry& find_model(std::string_view name) {
  std::vector<std::string> names;
  for (const ModelEntry& model : model_list()) {
    if (model.name == name) return model;
    names.push_back(model.name);
  }
  throw UsageError(fmt::format("unknown model '{}'{} (there are: {})", name, did_you_mean(name, names),
                               fmt::join(names, ", ")));
}

const Preset& find_preset(const ModelEntry& model, std::string_view name) {
  std::vector<std::string> names;
  for (const Preset& preset : model.presets) {
    if (preset.name == name) return preset;
    names.push_back(preset.name);
  }
  if (names.empty()) throw UsageError(fmt::format("--preset {}: {} has no presets", name, model.name));
  throw UsageError(fmt::format("--preset {}: {} has no such preset{} (it has: {})", name, model.name,
                               did_you_mean(name, names), fmt::join(names, ", ")));
}

Config default_config(const ModelEntry& model) {
  std::vector<Key> keys{
      {.name = "model.name", .default_value = model.name, .doc = "which model", .choices = {model.name}}};
  for (const Key& key : model.keys) keys.push_back(key);
  for (const Key& key : shared_keys()) keys.push_back(key);
  return Config(std::move(keys));
}

Config read_run_config(const std::filesystem::path& run) {
  const std::filesystem::path file = run / "config.toml";
  const std::string model = toml_text_at(file, "model.name");
  if (model.empty())
    throw IoError(
        fmt::format("{}: names no model (model.name = …); was it written by fovea train?", file.string()));
  Config config = default_config(find_model(model));
  config.load_toml(file);
  return config;
}

}  // namespace fovea::apps
