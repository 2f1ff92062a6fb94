// SPDX-License-Identifier: Apache-2.0
#pragma once

#include "nn/module.h"

namespace fovea::nn {

struct ConvOptions {
  int padding = 0;  ///< zeros around each plane, pixels
  bool bias = true;
};

/// Cross-correlation of planes with K×K kernels, stride 1:
/// y[b, o, i, j] = bias[o] + Σ_{c,p,q} weight[o, c, p, q]·x[b, c, i + p - padding, j + q - padding].
///
/// x           [B, in, H, W] f32; windows that roll over a movie are not copied
/// returns     [B, out, H + 2·padding - K + 1, W + 2·padding - K + 1]
/// parameters  weight [out, in, K, K], bias [out] (if options.bias); both start in U(±1/√(in·K²))
/// throws      ShapeError naming the layer if x is not [B, in, H, W] with room for the kernel
class Conv2d final : public Module {
 public:
  Conv2d(std::int64_t in, std::int64_t out, std::int64_t kernel, const Device& device,
         ConvOptions options = {});
  Var forward(const Var& x) override;

  Parameter weight;
  Parameter bias;  ///< undefined value if options.bias is false

 private:
  int padding_;
};

}  // namespace fovea::nn
