// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <array>
#include <cstdint>
#include <memory>

#include "models/retina/rate_model.h"
#include "nn/batch_norm.h"
#include "nn/conv2d.h"
#include "nn/linear.h"
#include "nn/noise.h"

namespace fovea::retina {

/// What stands between a convolution of Deep Retina and its noise.
enum class Norm { per_unit, per_channel, none };

struct DeepRetinaOptions {
  std::int64_t cells = 5;
  std::int64_t history = 40;  ///< stimulus frames of 10 ms that a response sees: the channels of the input
  std::int64_t size = 50;     ///< stimulus height and width, checkers
  std::array<std::int64_t, 2> channels{8, 8};
  std::array<std::int64_t, 2> kernels{15, 11};
  Norm norm = Norm::per_unit;
  float noise = 0.05f;  ///< standard deviation, before each ReLU, in training only
};

/// Deep Retina: predicts the firing rates of retinal ganglion cells from the last 400 ms of a movie.
///
///   conv1 → [bn1] → noise → ReLU → conv2 → [bn2] → noise → ReLU → flatten → readout → [bn3] → softplus
///
/// Convolutions are "valid", stride 1, with bias; with a norm the readout has no bias, bn3's shift takes its
/// place. The 40 frames of history are the input channels, oldest first: there is no convolution over time.
///
/// x           [B, history, size, size] f32, contrast with mean 0 and standard deviation 1
/// returns     [B, cells] f32, rate of the bin after the newest frame, Hz
/// parameters  5 cells: 138 362 (per-unit norm, 15 and 11), 185 757 (nips_2016)
/// throws      ShapeError if x does not fit; ValueError if the kernels do not fit into the stimulus
/// source      McIntosh et al. 2016 (NIPS); Maheswaranathan et al. 2023 (Neuron)
class DeepRetina final : public RateModel {
 public:
  DeepRetina(const DeepRetinaOptions& options, const Device& device);

  Var drive(const Var& x) override;

  const DeepRetinaOptions& options() const { return options_; }
  nn::Conv2d& first_layer() { return conv1_; }

 private:
  DeepRetinaOptions options_;
  nn::Conv2d conv1_, conv2_;
  std::unique_ptr<nn::BatchNorm> bn1_, bn2_, bn3_;
  nn::GaussianNoise noise1_, noise2_;
  nn::Linear readout_;
};

/// The networks as published: batch-normalised per unit (Maheswaranathan et al. 2023) …
DeepRetinaOptions bn_cnn(std::int64_t cells);
/// … and the first one, 16 filters of 15×15, 8 of 9×9, noise of 0.1 and no normalisation (McIntosh et al.
/// 2016).
DeepRetinaOptions nips_2016(std::int64_t cells);

}  // namespace fovea::retina
