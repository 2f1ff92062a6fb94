// SPDX-License-Identifier: Apache-2.0
#include "models/retina/deep_retina.h"

#include "autograd/ops/elementwise.h"
#include "autograd/ops/reshape.h"
#include "nn/init.h"

namespace fovea::retina {
namespace {

/// Side of the maps after both convolutions.
std::int64_t map_size(const DeepRetinaOptions& options) {
  const std::int64_t side = options.size - (options.kernels[0] - 1) - (options.kernels[1] - 1);
  if (side < 1)
    reject<ValueError>("deep retina", "kernels of {} and {} do not fit into a stimulus of {} × {}",
                       options.kernels[0], options.kernels[1], options.size, options.size);
  return side;
}

std::unique_ptr<nn::BatchNorm> make_norm(Norm norm, std::int64_t channels, std::int64_t side,
                                         const Device& device) {
  if (norm == Norm::none) return nullptr;
  const bool per_unit = norm == Norm::per_unit;
  nn::BatchNormOptions options;
  options.statistics = per_unit ? nn::Statistics::per_unit : nn::Statistics::per_channel;
  return std::make_unique<nn::BatchNorm>(per_unit ? channels * side * side : channels, device, options);
}

}  // namespace

DeepRetina::DeepRetina(const DeepRetinaOptions& options, const Device& device)
    : options_(options),
      conv1_(options.history, options.channels[0], options.kernels[0], device),
      conv2_(options.channels[0], options.channels[1], options.kernels[1], device),
      bn1_(make_norm(options.norm, options.channels[0], options.size - options.kernels[0] + 1, device)),
      bn2_(make_norm(options.norm, options.channels[1], map_size(options), device)),
      bn3_(options.norm == Norm::none ? nullptr : make_norm(Norm::per_channel, options.cells, 1, device)),
      noise1_(options.noise),
      noise2_(options.noise),
      readout_(options.channels[1] * map_size(options) * map_size(options), options.cells, device,
               {.bias = options.norm == Norm::none}) {
  add_child("conv1", conv1_);
  if (bn1_) add_child("bn1", *bn1_);
  add_child("noise1", noise1_);
  add_child("conv2", conv2_);
  if (bn2_) add_child("bn2", *bn2_);
  add_child("noise2", noise2_);
  add_child("readout", readout_);
  if (bn3_) add_child("bn3", *bn3_);

  for (nn::Parameter* weight : {&conv1_.weight, &conv2_.weight, &readout_.weight})
    weight->init =
        nn::init::xavier_uniform();  // Keras' starting values, as the published networks were made with
  for (nn::Parameter* bias : {&conv1_.bias, &conv2_.bias, &readout_.bias})
    bias->init = nn::init::constant(0.0f);
}

Var DeepRetina::drive(const Var& x) {
  Var h = conv1_(x);
  if (bn1_) h = (*bn1_)(h);
  h = relu(noise1_(h));
  h = conv2_(h);
  if (bn2_) h = (*bn2_)(h);
  h = relu(noise2_(h));
  h = readout_(flatten(h));
  return bn3_ ? (*bn3_)(h) : h;
}

DeepRetinaOptions bn_cnn(std::int64_t cells) { return {.cells = cells}; }

DeepRetinaOptions nips_2016(std::int64_t cells) {
  return {.cells = cells, .channels = {16, 8}, .kernels = {15, 9}, .norm = Norm::none, .noise = 0.1f};
}

}  // namespace fovea::retina
