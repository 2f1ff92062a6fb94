// SPDX-License-Identifier: Apache-2.0
#include "apps/baseline_models.h"

#include "apps/retina_models.h"
#include "models/retina/circuit.h"
#include "models/retina/glm.h"
#include "models/retina/linear_nonlinear.h"
#include "models/retina/reverse_correlation.h"

namespace fovea::apps {
namespace {

Key history_key() {
  return {"model.history", std::int64_t{40}, "stimulus frames of 10 ms that a response sees", 1, 1000};
}

Key cutout_key(std::int64_t half_width) {
  return {"model.cutout", half_width,
          "half the side of the square around its centre that a cell sees, pixels; 0: the whole frame", 0,
          static_cast<double>(retina::kSize) / 2};
}

}  // namespace

ModelEntry ln_entry() {
  return {
      .name = "ln",
      .summary = "one linear filter and one nonlinearity a cell: the baseline",
      .keys = {history_key(),
               cutout_key(0),
               centres_key(),
               {.name = "model.nonlinearity",
                .default_value = "softplus",
                .doc = "what makes a rate of the filter's output",
                .choices = retina::nonlinearity_names()}},
      .presets =
          {
              {"demo",
               "half a minute on two CPU cores, on ten minutes of simulated recording",
               {{"train.batch", std::int64_t{128}},
                {"train.steps", std::int64_t{800}},
                {"train.epochs", std::int64_t{0}},
                {"train.eval_every", std::int64_t{100}},
                {"train.checkpoint_every", std::int64_t{400}},
                {"optim.lr", 1e-4},
                {"optim.weight_decay", 1e-2}}},
              {"published",
               "cut-outs and a rectified quadratic, as the baseline of McIntosh et al. 2016 was trained",
               {{"model.cutout", std::int64_t{11}},
                {"model.nonlinearity", std::string("rectified-quadratic")},
                {"train.batch", std::int64_t{5000}},
                {"train.epochs", std::int64_t{500}},
                {"train.eval_every", std::int64_t{64}},
                {"train.patience", std::int64_t{20}},
                {"optim.lr", 1e-2},
                {"optim.weight_decay", 0.2}}},
          },
  };
}

ModelEntry ln_revcorr_entry() {
  return {
      .name = "ln-revcorr",
      .summary = "the LN model by reverse correlation: fitted in one pass over the data, no training steps",
      .keys = {history_key(),
               cutout_key(0),
               centres_key(),
               {"model.decorrelate", std::int64_t{0},
                "steps of conjugate gradients that take the stimulus' correlations out of the filter", 0,
                1000},
               {.name = "model.nonlinearity",
                .default_value = "polynomial",
                .doc = "fitted to the filter's output: a polynomial, or the means in bins, joined by lines",
                .choices = {"polynomial", "bins"}},
               {"model.degree", std::int64_t{5}, "of the polynomial", 1, 9},
               {"model.bins", std::int64_t{50}, "of equally many samples", 2, 1000}},
      .presets = {{"published",
                   "the whole frame and a polynomial of degree 5, as in Maheswaranathan et al. 2023",
                   {{"model.nonlinearity", std::string("polynomial")}, {"model.degree", std::int64_t{5}}}},
                  {"bins",
                   "a nonlinearity of 50 bins, on cut-outs",
                   {{"model.nonlinearity", std::string("bins")},
                    {"model.bins", std::int64_t{50}},
                    {"model.cutout", std::int64_t{11}}}}},
      .closed_form = true,
  };
}

ModelEntry glm_entry() {
  return {
      .name = "glm",
      .summary =
          "a filter of the stimulus and one of the cells' own spikes: what a cell fires depends on both",
      .keys =
          {history_key(),
           cutout_key(7),
           centres_key(),
           {.name = "model.nonlinearity",
            .default_value = "softplus",
            .doc = "what makes a rate of the drive",
            .choices = {"softplus", "exp"}},
           {"model.coupling", false, "whether a cell sees the spikes of all cells, or only its own"},
           {"model.stimulus_l2", 0.0,
            "penalty, half of this times the squares of a cell's stimulus filter, beside its loss in spikes",
            0, 1e3},
           {"model.history_l2", 0.0, "the same of its spike filters and its bias", 0, 1e3}},
      .presets =
          {
              {"demo",
               "a minute on two CPU cores, on ten minutes of simulated recording",
               {{"model.coupling", true},
                {"model.stimulus_l2", 1e-4},
                {"train.batch", std::int64_t{128}},
                {"train.steps", std::int64_t{1500}},
                {"train.epochs", std::int64_t{0}},
                {"train.eval_every", std::int64_t{300}},
                {"train.checkpoint_every", std::int64_t{500}},
                {"optim.lr", 3e-4}}},
              {"published",
               "each cell for itself, as the baseline of McIntosh et al. 2016 was trained",
               {{"model.stimulus_l2", 1e-4},
                {"model.history_l2", 1e-2},
                {"data.skip", std::int64_t{5000}},
                {"train.batch", std::int64_t{5000}},
                {"train.steps", std::int64_t{1000}},
                {"train.epochs", std::int64_t{0}},
                {"train.eval_every", std::int64_t{100}},
                {"optim.lr", 1e-3}}},
              {"coupled",
               "the population with coupling, of the same authors' code",
               {{"model.coupling", true},
                {"model.nonlinearity", std::string("exp")},
                {"train.batch", std::int64_t{5000}},
                {"train.steps", std::int64_t{1000}},
                {"train.epochs", std::int64_t{0}},
                {"train.eval_every", std::int64_t{100}},
                {"optim.name", std::string("rmsprop")},
                {"optim.lr", 1e-4}}},
          },
  };
}

std::unique_ptr<retina::RateModel> make_baseline(const Config& config, std::int64_t cells,
                                                 const Device& device) {
  const std::string& name = config.text("model.name");
  if (name != "ln" && name != "ln-revcorr" && name != "glm") return nullptr;
  const std::int64_t history = config.integer("model.history"), cutout = config.integer("model.cutout");
  std::vector<retina::Position> centres = centres_of(config, cells, retina::kSize);
  const std::string& nonlinearity = config.text("model.nonlinearity");
  if (name == "ln")
    return std::make_unique<retina::LinearNonlinear>(
        retina::LinearNonlinearOptions{.cells = cells,
                                       .history = history,
                                       .cutout = cutout,
                                       .centres = std::move(centres),
                                       .nonlinearity = retina::nonlinearity_named(nonlinearity)},
        device);
  if (name == "ln-revcorr")
    return std::make_unique<retina::ReverseCorrelation>(
        retina::ReverseCorrelationOptions{
            .cells = cells,
            .history = history,
            .cutout = cutout,
            .centres = std::move(centres),
            .decorrelate = config.integer("model.decorrelate"),
            .degree = nonlinearity == "polynomial" ? config.integer("model.degree") : 0,
            .bins = config.integer("model.bins")},
        device);
  return std::make_unique<retina::Glm>(
      retina::GlmOptions{.cells = cells,
                         .history = history,
                         .cutout = cutout,
                         .centres = std::move(centres),
                         .coupling = config.flag("model.coupling"),
                         .nonlinearity = retina::nonlinearity_named(nonlinearity),
                         .stimulus_l2 = config.real("model.stimulus_l2"),
                         .history_l2 = config.real("model.history_l2")},
      device);
}

}  // namespace fovea::apps
