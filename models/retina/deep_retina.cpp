// SPDX-License-Identifier: Apache-2.0
#include "models/retina/deep_retina.h"

#include <fmt/format.h>

#include <algorithm>

#include "autograd/ops/elementwise.h"
#include "autograd/ops/gather.h"
#include "autograd/ops/reduce.h"
#include "autograd/ops/reshape.h"
#include "nn/init.h"
#include "nn/loss.h"
#include "nn/scale_shift.h"

namespace fovea::retina {
namespace {

constexpr const char* kOp = "deep retina";

/// Side of the maps after so many convolutions.
std::int64_t map_side(const DeepRetinaOptions& o, int convolutions) {
  const std::int64_t kernels[] = {o.kernels[0], o.kernels[1], o.readout_kernel};
  std::int64_t side = o.size;
  for (int k = 0; k < convolutions; ++k) side -= kernels[k] - 1;
  if (side < 1)
    reject<ValueError>(kOp, "kernels of {} and {} do not fit into a stimulus of {} × {}", o.kernels[0],
                       convolutions == 3 ? fmt::format("{} and {}", o.kernels[1], o.readout_kernel)
                                         : fmt::to_string(o.kernels[1]),
                       o.size, o.size);
  return side;
}

bool has_batch_norm(Norm norm) { return norm == Norm::per_unit || norm == Norm::per_channel; }

std::unique_ptr<nn::BatchNorm> batch_norm(const DeepRetinaOptions& o, Norm norm, std::int64_t channels,
                                          std::int64_t side, const Device& device) {
  nn::BatchNormOptions options;
  options.absolute_scale = o.absolute_scale;
  const bool per_unit = norm == Norm::per_unit;
  options.statistics = per_unit ? nn::Statistics::per_unit : nn::Statistics::per_channel;
  return std::make_unique<nn::BatchNorm>(per_unit ? channels * side * side : channels, device, options);
}

void check(const DeepRetinaOptions& o) {
  if (o.readout == Readout::fixed && o.centres.size() != static_cast<std::size_t>(o.cells))
    reject<ValueError>(kOp, "{} centres of receptive fields for {} cells, a fixed readout needs one for each",
                       o.centres.size(), o.cells);
  if (o.readout == Readout::one_hot && o.output != Output::softplus)
    reject<ValueError>(kOp, "a one-hot readout selects among softplus maps; leave the output at softplus");
  if (!o.filter_of_cell.empty()) {
    if (o.readout != Readout::one_hot || o.filter_of_cell.size() != static_cast<std::size_t>(o.cells))
      reject<ValueError>(
          kOp, "filter_of_cell has {} entries, expected one for each of {} cells of a one-hot readout",
          o.filter_of_cell.size(), o.cells);
    if (std::any_of(o.filter_of_cell.begin(), o.filter_of_cell.end(),
                    [&](std::int64_t filter) { return filter < 0 || filter >= o.cells; }))
      reject<ValueError>(kOp, "filter_of_cell names a filter outside of 0 … {}", o.cells - 1);
  }
}

std::int64_t filters_of(const DeepRetinaOptions& o) {
  if (o.filter_of_cell.empty()) return o.cells;
  return 1 + *std::max_element(o.filter_of_cell.begin(), o.filter_of_cell.end());
}

}  // namespace

Position place_of(const Position& centre, std::int64_t reach, std::int64_t size) {
  const auto along = [&](std::int64_t c) {
    return std::clamp<std::int64_t>(c - reach / 2, 0, size - reach - 1);
  };
  return {along(centre.row), along(centre.col)};
}

DeepRetina::Layer DeepRetina::make_layer(int k, const Device& device) const {
  const DeepRetinaOptions& o = options_;
  const auto at = static_cast<std::size_t>(k);
  const std::int64_t in = k == 0 ? o.history : o.channels[0], out = o.channels[at], kernel = o.kernels[at];
  const std::int64_t side = map_side(o, k + 1);
  Layer layer{.conv = nullptr, .norm = nullptr, .noise = std::make_unique<nn::GaussianNoise>(o.noise)};
  if (o.stacked)
    layer.conv = std::make_unique<nn::StackedConv2d>(
        in, out, kernel, device,
        nn::StackedConvOptions{
            .dropout = o.stack_dropout, .bias = o.conv_bias, .one_to_one = o.stack_one_to_one});
  else
    layer.conv = std::make_unique<nn::Conv2d>(in, out, kernel, device, nn::ConvOptions{.bias = o.conv_bias});
  if (o.norm == Norm::scale_shift)
    layer.norm = std::make_unique<nn::ScaleShift>(Shape{out, side, side}, device);
  else if (o.norm != Norm::none)
    layer.norm = batch_norm(o, o.norm, out, side, device);
  return layer;
}

DeepRetina::DeepRetina(const DeepRetinaOptions& options, const Device& device)
    : options_(options), layers_{make_layer(0, device), make_layer(1, device)} {
  check(options);
  const bool norm = has_batch_norm(options.norm);
  for (int k = 0; k < 2; ++k) {
    Layer& layer = layers_[static_cast<std::size_t>(k)];
    add_child(fmt::format("conv{}", k + 1), *layer.conv);
    if (layer.norm) add_child(fmt::format("bn{}", k + 1), *layer.norm);
    add_child(fmt::format("noise{}", k + 1), *layer.noise);
  }
  if (options.readout == Readout::dense) {
    const std::int64_t side = map_side(options, 2);
    dense_ = std::make_unique<nn::Linear>(options.channels[1] * side * side, options.cells, device,
                                          nn::LinearOptions{.bias = !norm && options.conv_bias});
    add_child("readout", *dense_);
  } else {
    const std::int64_t side = map_side(options, 3), filters = filters_of(options);
    const bool fixed = options.readout == Readout::fixed;
    conv3_ = std::make_unique<nn::Conv2d>(options.channels[1], filters, options.readout_kernel, device,
                                          nn::ConvOptions{.bias = !fixed});
    add_child("conv3", *conv3_);
    if (fixed) {
      places_ = Tensor::zeros({options.cells, side, side}, DType::f32, device, "buffer");
      for (std::int64_t c = 0; c < options.cells; ++c) {
        const Position place = place_of(options.centres[static_cast<std::size_t>(c)], reach(), options.size);
        select(select(select(places_, 0, c), 0, place.row), 0, place.col).fill(1.0);
      }
      add_buffer("places", places_);
    } else {
      selection_ = std::make_unique<nn::Selection>(options.cells, Size2d(side), device);
      add_child("selection", *selection_);
      if (!options.filter_of_cell.empty()) {
        filter_of_cell_ = Tensor::from(options.filter_of_cell, {options.cells}, device, "buffer");
        add_buffer("filter_of_cell", filter_of_cell_);
      }
    }
  }
  if (norm) {
    const std::int64_t count = conv3_ ? filters_of(options) : options.cells;
    bn3_ = batch_norm(options, Norm::per_channel, count, 1, device);
    add_child("bn3", *bn3_);
  }
  if (options.output == Output::parametric) {
    add_parameter("alpha", alpha_, nn::Role::scale, {options.cells}, device, nn::init::constant(0.2f));
    add_parameter("beta", beta_, nn::Role::scale, {options.cells}, device, nn::init::constant(5.0f));
  }
  set_start();
}

void DeepRetina::set_start() {
  if (options_.start == Start::torch) return;  // the layers' own
  const nn::InitRule weights =
      options_.start == Start::keras ? nn::init::xavier_uniform() : nn::init::normal(0.05f);
  for (const auto& named : named_parameters()) {
    nn::Parameter& parameter = *named.parameter;
    if (named.name == "selection.weight") continue;
    if (parameter.role == nn::Role::weight) parameter.init = weights;
    if (parameter.role == nn::Role::bias) parameter.init = nn::init::constant(0.0f);
  }
}

Var DeepRetina::features(const Var& x) {
  Var h = x;
  for (Layer& layer : layers_) {
    h = (*layer.conv)(h);
    if (layer.norm) h = (*layer.norm)(h);
    h = relu((*layer.noise)(h));
  }
  return h;
}

Var DeepRetina::drive(const Var& x) {
  if (options_.readout == Readout::one_hot) {
    Var maps = filter_maps(x);
    if (filter_of_cell_.defined()) maps = gather_rows(maps, filter_of_cell_, 1);
    return (*selection_)(maps);
  }
  Var h = features(x);
  h = dense_ ? (*dense_)(flatten(h)) : sum((*conv3_)(h)*places_, {2, 3});
  return bn3_ ? (*bn3_)(h) : h;
}

Var DeepRetina::rate(const Var& drive) {
  if (options_.readout == Readout::one_hot) return drive;
  if (options_.output == Output::exponential) return exp(drive);
  if (options_.output == Output::softplus) return softplus(drive);
  return softplus(drive * on_tape(beta_, drive)) * on_tape(alpha_, drive);
}

Var DeepRetina::penalty(const Var& x) {
  if (!selection_ || options_.semantic == 0.0f) return {};
  return nn::ExactlyOneLoss{options_.semantic}(selection_->weights(x));
}

bool DeepRetina::has_maps() const {
  return conv3_ != nullptr && (options_.norm == Norm::per_channel || options_.norm == Norm::none);
}

Var DeepRetina::filter_maps(const Var& x) {
  Var h = (*conv3_)(features(x));
  if (bn3_) h = (*bn3_)(h);
  return softplus(h);
}

Var DeepRetina::maps(const Var& x) { return has_maps() ? filter_maps(x) : RateModel::maps(x); }

std::int64_t DeepRetina::reach() const {
  if (conv3_ == nullptr) return RateModel::reach();
  return options_.kernels[0] + options_.kernels[1] + options_.readout_kernel - 3;
}

Tensor DeepRetina::first_filters() const {
  const nn::Module* const conv = layers_[0].conv.get();
  if (const auto* chain = dynamic_cast<const nn::StackedConv2d*>(conv)) return chain->collapsed();
  return dynamic_cast<const nn::Conv2d&>(*conv).weight.value;
}

Tensor DeepRetina::selection() {
  if (!selection_) reject<ValueError>(kOp, "this readout has no positions to select; one_hot has");
  return selection_->weights(conv3_->weight.value).value();
}

std::unique_ptr<DeepRetina> DeepRetina::collapsed() const {
  DeepRetinaOptions options = options_;
  options.stacked = false;
  const Device device = named_parameters().front().parameter->value.device();
  auto model = std::make_unique<DeepRetina>(options, device);
  nn::State state;
  for (const auto& [name, value] : this->state())
    if (name.find(".piece") == std::string::npos) state.emplace(name, value);
  for (std::size_t k = 0; k < layers_.size(); ++k)
    if (const auto* chain = dynamic_cast<const nn::StackedConv2d*>(layers_[k].conv.get())) {
      state.emplace(fmt::format("conv{}.weight", k + 1), chain->collapsed());
      if (chain->bias().value.defined())
        state.emplace(fmt::format("conv{}.bias", k + 1), chain->bias().value);
    }
  if (!options_.stacked) state = this->state();
  model->load_state(state);
  model->train(training());
  return model;
}

DeepRetinaOptions bn_cnn(std::int64_t cells) { return {.cells = cells}; }

DeepRetinaOptions nips_2016(std::int64_t cells) {
  return {.cells = cells,
          .channels = {16, 8},
          .kernels = {15, 9},
          .norm = Norm::none,
          .noise = 0.1f,
          .start = Start::normal};
}

DeepRetinaOptions stacked_bn_cnn(std::int64_t cells) {
  return {.cells = cells, .absolute_scale = true, .stacked = true, .start = Start::torch};
}

DeepRetinaOptions convgc(std::vector<Position> centres) {
  const auto cells = static_cast<std::int64_t>(centres.size());
  return {.cells = cells,
          .norm = Norm::per_channel,
          .absolute_scale = true,
          .stacked = true,
          .readout = Readout::fixed,
          .centres = std::move(centres),
          .start = Start::torch};
}

DeepRetinaOptions one_hot(std::int64_t cells) {
  return {.cells = cells,
          .kernels = {15, 12},
          .norm = Norm::per_channel,
          .absolute_scale = true,
          .readout = Readout::one_hot,
          .readout_kernel = 9,
          .start = Start::torch};
}

DeepRetinaOptions simple_cnn(std::int64_t cells) {
  return {.cells = cells, .norm = Norm::none, .conv_bias = false, .start = Start::torch};
}

DeepRetinaOptions ss_cnn(std::int64_t cells) {
  return {.cells = cells, .norm = Norm::scale_shift, .start = Start::torch};
}

}  // namespace fovea::retina
