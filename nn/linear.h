// SPDX-License-Identifier: Apache-2.0
#pragma once

#include "nn/module.h"

namespace fovea::nn {

struct LinearOptions {
  bool bias = true;
};

/// y = x·weightᵀ + bias.
///
/// x           [B, in] f32
/// returns     [B, out]
/// parameters  weight [out, in], bias [out] (if options.bias); both start in U(±1/√in)
/// throws      ShapeError naming the layer if x is not [B, in]
class Linear final : public Module {
 public:
  Linear(std::int64_t in, std::int64_t out, const Device& device, LinearOptions options = {});
  Var forward(const Var& x) override;

  Parameter weight;
  Parameter bias;  ///< undefined value if options.bias is false
};

}  // namespace fovea::nn
