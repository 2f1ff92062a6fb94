// SPDX-License-Identifier: Apache-2.0
#include "apps/retina_models.h"

#include <fmt/format.h>

#include <algorithm>

#include "apps/baseline_models.h"
#include "apps/checkpoint.h"
#include "apps/deep_retina_model.h"
#include "apps/retina_data.h"
#include "apps/run_state.h"
#include "models/retina/consolidate.h"
#include "models/retina/receptive_field.h"
#include "nn/init.h"

namespace fovea::apps {
namespace {

/// What a fit can add to the Poisson loss.
std::vector<Key> penalty_keys() {
  return {
      {"model.activity_l1", 0.0, "penalty on the mean predicted rate", 0, 1e3},
      {.name = "model.activity_form",
       .default_value = "mean",
       .doc = "of that penalty: mean, or the sum over batch and cells that torch-deep-retina has",
       .choices = {"mean", "sum"}},
      {"model.drive_l1", 0.0, "penalty on the mean size of what the output nonlinearity gets", 0, 1e3},
  };
}

bool has(const Config& config, std::string_view name) {
  return std::any_of(config.keys().begin(), config.keys().end(),
                     [&](const Key& key) { return key.name == name; });
}

void fill_in_centres(Config& config, const nn::WindowDataset& train) {
  const bool asks = has(config, "model.centres") && config.integers("model.centres").empty() &&
                    (!has(config, "model.readout") || config.text("model.readout") == "fixed") &&
                    (!has(config, "model.cutout") || config.integer("model.cutout") > 0);
  if (!asks) return;
  Integers values;
  for (const retina::Position& centre : retina::receptive_field_centres(train)) {
    values.push_back(centre.row);
    values.push_back(centre.col);
  }
  config.set("model.centres", values, "training data");
}

/// The weights of a run with a filter for each cell, with one filter for cells whose filters are alike; says in the
/// configuration which. None if the run is gone and the configuration knows already: a resumed run has a checkpoint.
nn::State share_filters(Config& config, std::int64_t cells) {
  const std::filesystem::path run = config.text("model.share_from");
  if (!std::filesystem::exists(run) && !config.integers("model.filter_of_cell").empty()) return {};
  const Config other = read_run_config(run);
  if (other.text("model.name") != "deep-retina" || other.text("model.readout") != "one-hot" ||
      !other.integers("model.filter_of_cell").empty())
    throw UsageError(
        fmt::format("model.share_from {}: expected a run of deep-retina with model.readout=one-hot and a "
                    "filter for each cell",
                    run.string()));
  retina::DeepRetina trained(deep_retina_options(other, cells), Device::cpu());
  load_weights(trained, find_checkpoint(run, "best").path);
  const auto shared = retina::consolidated(trained, config.real("model.share_above"),
                                           static_cast<std::uint64_t>(config.integer("train.seed")));
  config.set("model.filter_of_cell", Integers(shared->options().filter_of_cell), "model.share_from");
  return shared->state();
}

}  // namespace

std::vector<ModelEntry> retina_models() {
  std::vector<ModelEntry> models{deep_retina_entry(), ln_entry(), ln_revcorr_entry(), glm_entry()};
  for (ModelEntry& model : models)
    for (const std::vector<Key>& keys : {penalty_keys(), retina_data_keys()})
      model.keys.insert(model.keys.end(), keys.begin(), keys.end());
  return models;
}

bool sees_past(const Config& config) { return config.text("model.name") == "glm"; }

Key centres_key() {
  return {"model.centres", Integers{},
          "row and column of each cell's receptive field, for models that place their cells; empty: found in "
          "the training data",
          0, 1e6};
}

std::vector<retina::Position> centres_of(const Config& config, std::int64_t cells, std::int64_t size) {
  const auto& values = config.integers("model.centres");
  if (values.empty())
    return std::vector<retina::Position>(static_cast<std::size_t>(cells), {size / 2, size / 2});
  if (values.size() != 2 * static_cast<std::size_t>(cells) ||
      std::any_of(values.begin(), values.end(), [&](std::int64_t value) { return value >= size; }))
    throw UsageError(
        fmt::format("model.centres: expected row and column for each of {} cells, each 0 to {}, got {}",
                    cells, size - 1, to_toml(config.value("model.centres"))));
  std::vector<retina::Position> centres;
  for (std::size_t k = 0; k < values.size(); k += 2) centres.push_back({values[k], values[k + 1]});
  return centres;
}

Prepared prepare_retina_model(Config config, const nn::WindowDataset& train) {
  fill_in_centres(config, train);
  nn::State start;
  if (has(config, "model.share_from") && !config.text("model.share_from").empty())
    start = share_filters(config, train.cells());
  return {std::move(config), std::move(start)};
}

std::unique_ptr<retina::RateModel> make_retina_model(const Config& config, std::int64_t cells,
                                                     const Device& device) {
  std::unique_ptr<retina::RateModel> model = make_baseline(config, cells, device);
  if (!model) model = std::make_unique<retina::DeepRetina>(deep_retina_options(config, cells), device);
  nn::initialize(*model, static_cast<std::uint64_t>(config.integer("train.seed")));
  return model;
}

nn::Normalization saved_normalization(const std::filesystem::path& checkpoint) {
  const nn::State saved = read_checkpoint(checkpoint).tensors;
  const auto mean = saved.find("norm.mean"), sd = saved.find("norm.sd");
  if (mean == saved.end() || sd == saved.end() || mean->second.numel() != 1 || sd->second.numel() != 1)
    throw IoError(  // untested: fovea train and the converter write them
        fmt::format("{}: norm.mean and norm.sd are missing; is it a checkpoint of a model of the retina?",
                    checkpoint.string()));
  return {static_cast<float>(mean->second.item()), static_cast<float>(sd->second.item())};
}

std::unique_ptr<retina::RateModel> load_retina_model(const Config& config,
                                                     const std::filesystem::path& checkpoint,
                                                     const Device& device) {
  const nn::State weights = read_weights(checkpoint);
  // A model of one cell differs from that of several in nothing but the extents that count the cells.
  Config of_one = config;
  for (const char* key : {"model.centres", "model.filter_of_cell"})
    if (has(config, key)) of_one.set(key, Integers{}, "one cell");
  std::int64_t cells = 1;
  const auto model_of_one = make_retina_model(of_one, 1, Device::cpu({.threads = 1}));
  for (const auto& [name, tensor] : model_of_one->state()) {
    const auto saved = weights.find(name);
    if (saved == weights.end() || saved->second.rank() != tensor.rank()) continue;  // load_weights() tells
    for (int axis = 0; axis < tensor.rank(); ++axis)
      if (tensor.size(axis) == 1) cells = std::max(cells, saved->second.size(axis));
  }
  std::unique_ptr<retina::RateModel> model = make_retina_model(config, cells, device);
  load_weights(*model, checkpoint);
  return model;
}

}  // namespace fovea::apps
