// SPDX-License-Identifier: Apache-2.0
#pragma once

#include "nn/module.h"

namespace fovea::nn {

struct NormOptions {
  float eps = 1e-5f;   ///< PyTorch's default; TensorFlow's contrib layer norm has 1e-12
  bool affine = true;  ///< learn scale and shift
};

/// y = weight·(x - mean)/√(variance + eps) + bias, with the statistics of each sample and group of channels. One
/// group: channels and positions together. The same in training and in use: there is nothing to run.
///
/// x           [B, C, …] f32, C = channels
/// returns     as x
/// parameters  weight [channels] starts at 1, bias [channels] at 0 (if options.affine)
/// throws      ValueError if groups do not divide channels; ShapeError naming the layer if x does not have them
/// source      Wu and He 2018
class GroupNorm final : public Module {
 public:
  GroupNorm(std::int64_t groups, std::int64_t channels, const Device& device, NormOptions options = {});
  Var forward(const Var& x) override;

  Parameter weight, bias;  ///< undefined values if options.affine is false

 private:
  std::int64_t groups_, channels_;
  float eps_;
};

}  // namespace fovea::nn
