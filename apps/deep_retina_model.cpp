// SPDX-License-Identifier: Apache-2.0
#include "apps/deep_retina_model.h"

#include <fmt/format.h>

#include "apps/retina_models.h"

namespace fovea::apps {
namespace {

using Settings = std::vector<std::pair<std::string, Value>>;
using Text = std::string;
using Int = std::int64_t;

/// Later settings take the place of earlier ones.
Settings with(Settings settings, const Settings& others) {
  for (const auto& other : others) {
    std::erase_if(settings, [&](const auto& setting) { return setting.first == other.first; });
    settings.push_back(other);
  }
  return settings;
}

// Architectures, as they were published.

const Settings kNips{{"model.channels", Integers{16, 8}}, {"model.kernels", Integers{15, 9}},
                     {"model.norm", Text("none")},        {"model.noise", 0.1},
                     {"model.start", Text("normal")},     {"model.drive_l1", 1e-3}};
const Settings kStacked{
    {"model.stacked", true}, {"model.absolute_scale", true}, {"model.start", Text("torch")}};
const Settings kConvGc = with(kStacked, {{"model.norm", Text("channel")}, {"model.readout", Text("fixed")}});
const Settings kOneHot{{"model.kernels", Integers{15, 12}}, {"model.readout_kernel", Int{9}},
                       {"model.norm", Text("channel")},     {"model.absolute_scale", true},
                       {"model.readout", Text("one-hot")},  {"model.start", Text("torch")}};
const Settings kSimple{
    {"model.norm", Text("none")}, {"model.conv_bias", false}, {"model.start", Text("torch")}};
const Settings kScaleShift{{"model.norm", Text("scale-shift")}, {"model.start", Text("torch")}};

// Trainings, as they were published; epochs are those of an hour's recording, 65 steps of 5000 or 130 of 2500.

const Settings kKeras{{"train.batch", Int{5000}},
                      {"train.epochs", Int{250}},
                      {"train.eval_every", Int{64}},
                      {"train.patience", Int{20}},
                      {"optim.lr", 1e-2},
                      {"optim.weight_decay", 2e-2},
                      {"optim.decays", Text("convolutions")},
                      {"optim.schedule", Text("plateau")},
                      {"optim.schedule_factor", 0.2},
                      {"optim.schedule_patience", Int{10}}};
const Settings kNipsTraining{{"train.batch", Int{5000}},
                             {"train.epochs", Int{50}},
                             {"train.eval_every", Int{64}},
                             {"optim.lr", 1e-3},
                             {"optim.weight_decay", 2e-3}};
const Settings kTorch{
    {"train.batch", Int{2500}},     {"train.epochs", Int{100}},          {"train.eval_every", Int{129}},
    {"train.patience", Int{10}},    {"train.min_delta", 0.01},           {"optim.lr", 5e-3},
    {"optim.weight_decay", 1e-3},   {"optim.decays", Text("all")},       {"optim.schedule", Text("plateau")},
    {"optim.schedule_factor", 0.5}, {"optim.schedule_patience", Int{6}}, {"model.activity_l1", 1e-3}};
const Settings kOneHotTraining{{"train.batch", Int{2600}},
                               {"train.epochs", Int{40}},
                               {"train.eval_every", Int{124}},
                               {"optim.lr", 1e-2},
                               {"optim.weight_decay", 1e-3},
                               {"optim.decays", Text("all")},
                               {"optim.schedule", Text("milestones")},
                               {"optim.schedule_milestones", Integers{5, 15, 25}},
                               {"optim.schedule_factor", 0.1},
                               {"model.activity_l1", 1e-3}};
const Settings kDemo{
    {"train.batch", Int{32}},         {"train.steps", Int{4000}},           {"train.epochs", Int{0}},
    {"train.eval_every", Int{500}},   {"train.checkpoint_every", Int{500}}, {"optim.lr", 1e-2},
    {"optim.schedule", Text("step")}, {"optim.schedule_every", Int{1600}},  {"optim.schedule_factor", 0.3},
    {"optim.weight_decay", 1e-3}};

std::vector<Preset> presets() {
  return {
      {"demo", "minutes on two CPU cores, on ten minutes of simulated recording", kDemo},
      {"bn-cnn",
       "the batch-normalised network of Maheswaranathan et al. 2023 with a dense readout, as its Keras code "
       "trains it",
       kKeras},
      {"bn-cnn-channel", "the same with one mean and variance a channel, as its PyTorch code trains it",
       with({{"model.norm", Text("channel")}, {"model.start", Text("torch")}}, kTorch)},
      {"nips-2016", "the network of McIntosh et al. 2016, trained as published", with(kNips, kNipsTraining)},
      {"stacked", "convolutions of 3×3 pieces, dense readout: the network of the scores of 2023",
       with(kStacked, kTorch)},
      {"convgc", "convolutional to the end, each cell at the place of its receptive field",
       with(kConvGc, kTorch)},
      {"one-hot", "convolutional to the end, each cell finds its own place", with(kOneHot, kOneHotTraining)},
      {"one-hot-wide", "the same with kernels of 15, 13 and 11 and other training",
       with(with(kOneHot, kOneHotTraining), {{"model.kernels", Integers{15, 13}},
                                             {"model.readout_kernel", Int{11}},
                                             {"model.noise", 0.075},
                                             {"model.activity_l1", 1e-4},
                                             {"train.batch", Int{5000}},
                                             {"train.eval_every", Int{64}},
                                             {"optim.lr", 5e-3}})},
      {"one-hot-shared",
       "cells whose filters are alike share one: name the one-hot run with model.share_from",
       with(kOneHot, kOneHotTraining)},
      {"simple-cnn", "no norms and no biases", with(kSimple, kTorch)},
      {"ss-cnn", "a learned scale and shift of each unit in the place of norms", with(kScaleShift, kTorch)},
  };
}

std::vector<Key> keys() {
  return {
      {"model.history", Int{40}, "stimulus frames of 10 ms that a response sees", 1, 1000},
      {"model.channels", Integers{8, 8}, "filters of the two convolutions", 1, 4096},
      {"model.kernels", Integers{15, 11}, "side lengths of their filters, pixels", 1, 255},
      {"model.stacked", false, "make each of the two from 3×3 convolutions in a row"},
      {"model.stack_dropout", 0.05, "dropout between those, in training", 0, 0.99},
      {"model.stack_one_to_one", false, "from the second of those on, channels do not mix"},
      {"model.conv_bias", true, "biases of the two convolutions, and of a dense readout without norm"},
      {.name = "model.norm",
       .default_value = "unit",
       .doc = "after a convolution: batch normalisation per unit or per channel, a learned scale and shift "
              "of each unit, or nothing",
       .choices = {"unit", "channel", "scale-shift", "none"}},
      {"model.absolute_scale", false,
       "batch normalisation multiplies by |weight|, so that no channel flips its sign"},
      {"model.noise", 0.05, "SD of the Gaussian noise before each ReLU, in training only", 0, 10},
      {.name = "model.readout",
       .default_value = "dense",
       .doc = "from maps to cells: dense weights; a third convolution read at each receptive field; or one "
              "that finds its places",
       .choices = {"dense", "fixed", "one-hot"}},
      {"model.readout_kernel", Int{11}, "side length of the third convolution's filters, pixels", 1, 255},
      centres_key(),
      {"model.semantic", 10.0, "of readout one-hot: weight of the loss that makes each cell choose one place",
       0, 1e4},
      {"model.share_from", "",
       "of readout one-hot: a run with a filter for each cell; cells with filters alike share one"},
      {"model.share_above", 0.7, "correlation from which filters are alike", -1, 1},
      {"model.filter_of_cell", Integers{},
       "of readout one-hot: the filter of each cell, from 0; empty: its own, or what model.share_from gives",
       0, 1e6},
      {.name = "model.output",
       .default_value = "softplus",
       .doc = "from drive to rate: log(1 + e^x), the same with a learned height and slope a cell, or e^x",
       .choices = {"softplus", "parametric", "exponential"}},
      {.name = "model.start",
       .default_value = "keras",
       .doc = "starting values: Xavier-uniform with zero biases, PyTorch's, or N(0, 0.05²) with zero biases",
       .choices = {"keras", "torch", "normal"}},
  };
}

std::array<Int, 2> pair(const Config& config, const char* key) {
  const auto& values = config.integers(key);
  if (values.size() != 2) throw UsageError(fmt::format("{}: expected two numbers, one a convolution", key));
  return {values[0], values[1]};
}

template <class E>
E choice(const Config& config, const char* key, std::initializer_list<std::pair<const char*, E>> values) {
  for (const auto& [text, value] : values)
    if (config.text(key) == text) return value;
  return values.begin()->second;  // not reached: the key has these choices
}

}  // namespace

ModelEntry deep_retina_entry() {
  return {.name = "deep-retina",
          .summary = "two convolutions and a readout from 400 ms of stimulus to firing rates",
          .keys = keys(),
          .presets = presets()};
}

retina::DeepRetinaOptions deep_retina_options(const Config& config, std::int64_t cells) {
  using namespace retina;
  DeepRetinaOptions options{.cells = cells, .history = config.integer("model.history")};
  options.channels = pair(config, "model.channels");
  options.kernels = pair(config, "model.kernels");
  options.norm = choice<Norm>(config, "model.norm",
                              {{"unit", Norm::per_unit},
                               {"channel", Norm::per_channel},
                               {"scale-shift", Norm::scale_shift},
                               {"none", Norm::none}});
  options.absolute_scale = config.flag("model.absolute_scale");
  options.conv_bias = config.flag("model.conv_bias");
  options.noise = static_cast<float>(config.real("model.noise"));
  options.stacked = config.flag("model.stacked");
  options.stack_dropout = static_cast<float>(config.real("model.stack_dropout"));
  options.stack_one_to_one = config.flag("model.stack_one_to_one");
  options.readout =
      choice<Readout>(config, "model.readout",
                      {{"dense", Readout::dense}, {"fixed", Readout::fixed}, {"one-hot", Readout::one_hot}});
  options.readout_kernel = config.integer("model.readout_kernel");
  if (options.readout == Readout::fixed) options.centres = centres_of(config, cells, options.size);
  options.filter_of_cell = config.integers("model.filter_of_cell");
  options.semantic = static_cast<float>(config.real("model.semantic"));
  options.output = choice<Output>(config, "model.output",
                                  {{"softplus", Output::softplus},
                                   {"parametric", Output::parametric},
                                   {"exponential", Output::exponential}});
  options.start = choice<Start>(
      config, "model.start", {{"keras", Start::keras}, {"torch", Start::torch}, {"normal", Start::normal}});
  return options;
}

}  // namespace fovea::apps
