// SPDX-License-Identifier: Apache-2.0
#pragma once

#include "nn/group_norm.h"

namespace fovea::nn {

/// What one mean and one variance of a LayerNorm belong to.
enum class LayerNormOver {
  last_dimension,  ///< each row: PyTorch's LayerNorm(width)
  channels,        ///< each position of [B, C, …] over its channels
};

/// y = weight·(x - mean)/√(variance + eps) + bias, with the statistics of each row or of each position. For
/// statistics over channels and positions together: GroupNorm with one group.
///
/// x           f32, [..., width] or, over channels, [B, width, …]
/// returns     as x
/// parameters  weight [width] starts at 1, bias [width] at 0 (if options.affine)
/// throws      ShapeError naming the layer if x does not have `width` columns (or channels)
/// source      Ba, Kiros, Hinton 2016
class LayerNorm final : public Module {
 public:
  LayerNorm(std::int64_t width, const Device& device, NormOptions options = {},
            LayerNormOver over = LayerNormOver::last_dimension);
  Var forward(const Var& x) override;

  Parameter weight, bias;  ///< undefined values if options.affine is false

 private:
  std::int64_t width_;
  float eps_;
  LayerNormOver over_;
};

}  // namespace fovea::nn
