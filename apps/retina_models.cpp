// SPDX-License-Identifier: Apache-2.0
#include "apps/retina_models.h"

#include <fmt/format.h>

#include "apps/retina_data.h"
#include "models/retina/deep_retina.h"
#include "models/retina/linear_nonlinear.h"
#include "nn/init.h"

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

std::array<std::int64_t, 2> pair(const Config& config, const char* key) {
  const auto& values = config.integers(key);
  if (values.size() != 2) throw UsageError(fmt::format("{}: expected two numbers, one a convolution", key));
  return {values[0], values[1]};
}

std::unique_ptr<retina::RateModel> make_ln(const Config& config, std::int64_t cells, const Device& device) {
  return std::make_unique<retina::LinearNonlinear>(
      retina::LinearNonlinearOptions{.cells = cells, .history = config.integer("model.history")}, device);
}

std::unique_ptr<retina::RateModel> make_deep_retina(const Config& config, std::int64_t cells,
                                                    const Device& device) {
  retina::DeepRetinaOptions options{.cells = cells, .history = config.integer("model.history")};
  options.channels = pair(config, "model.channels");
  options.kernels = pair(config, "model.kernels");
  const std::string& norm = config.text("model.norm");
  options.norm = norm == "unit" ? retina::Norm::per_unit
                                : (norm == "channel" ? retina::Norm::per_channel : retina::Norm::none);
  options.noise = static_cast<float>(config.real("model.noise"));
  return std::make_unique<retina::DeepRetina>(options, device);
}

}  // namespace

std::vector<ModelEntry> retina_models() {
  std::vector<ModelEntry> models{deep_retina(), ln()};
  for (ModelEntry& model : models)
    for (Key& key : retina_data_keys()) model.keys.push_back(std::move(key));
  return models;
}

std::unique_ptr<retina::RateModel> make_retina_model(const Config& config, std::int64_t cells,
                                                     const Device& device) {
  const bool is_ln = config.text("model.name") == "ln";
  std::unique_ptr<retina::RateModel> model =
      is_ln ? make_ln(config, cells, device) : make_deep_retina(config, cells, device);
  nn::initialize(*model, static_cast<std::uint64_t>(config.integer("train.seed")));
  return model;
}

}  // namespace fovea::apps
