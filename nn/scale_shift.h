// SPDX-License-Identifier: Apache-2.0
#pragma once

#include "nn/module.h"

namespace fovea::nn {

/// y = weight·x + bias with a weight and a bias of each unit: a normalisation that measures nothing.
///
/// x           [B, …] f32 with the extents of `units` after B
/// returns     as x
/// parameters  weight [units…] starts at 1, bias [units…] at 0
/// throws      ShapeError naming the layer if x does not have these units
class ScaleShift final : public Module {
 public:
  ScaleShift(const Shape& units, const Device& device);
  Var forward(const Var& x) override;

  Parameter weight, bias;
};

}  // namespace fovea::nn
