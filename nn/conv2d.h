// SPDX-License-Identifier: Apache-2.0
#pragma once

#include "kernels/geometry.h"
#include "nn/module.h"

namespace fovea::nn {

struct ConvOptions {
  Size2d stride = 1;        ///< pixels from one output to the next
  Padding2d padding = 0;    ///< zeros around each plane, pixels
  bool same = false;        ///< pad so that ⌈H/stride⌉ x ⌈W/stride⌉ come out (same_padding)
  Size2d dilation = 1;      ///< pixels from one tap to the next
  std::int64_t groups = 1;  ///< group g of the outputs sees group g of the inputs
  bool bias = true;
  ConvAlgorithm algorithm = ConvAlgorithm::automatic;  ///< on the cpu
};

/// Cross-correlation of planes with R×S kernels (autograd/ops/conv2d.h):
/// y[b, o, p, q] = bias[o] + Σ_{c,r,s} weight[o, c, r, s]·x[b, c, p·stride + r·dilation - top, …], c over the
/// channels of o's group.
///
/// x           [B, in, H, W] f32; windows that roll over a movie are not copied
/// returns     [B, out, P, Q], P = ⌊(H + top + bottom - dilation·(R - 1) - 1)/stride⌋ + 1 and Q alike
/// parameters  weight [out, in/groups, R, S], bias [out] (if options.bias); both start in
///             U(±1/√(in/groups·R·S))
/// throws      ValueError where it is made: groups do not divide in and out, stride or dilation below 1,
///             padding and same; ShapeError naming the layer if x is not [B, in, H, W] with room for the kernel
/// source      LeCun et al. 1989, Backpropagation applied to handwritten zip code recognition
class Conv2d final : public Module {
 public:
  Conv2d(std::int64_t in, std::int64_t out, Size2d kernel, const Device& device, ConvOptions options = {});
  Var forward(const Var& x) override;

  Parameter weight;
  Parameter bias;  ///< undefined value if options.bias is false

 private:
  ConvOptions options_;
};

/// A spatial kernel for each channel, then a mix of channels at each pixel, nothing between the two:
/// in·R·S + in·out weights instead of in·out·R·S.
///
/// x           [B, in, H, W] f32
/// options     stride, padding, same and dilation of the spatial kernels, bias of the mix; groups stays 1
/// returns     [B, out, P, Q], as Conv2d
/// parameters  depthwise.weight [in, 1, R, S], pointwise.weight [out, in, 1, 1], pointwise.bias [out] (if
///             options.bias)
/// throws      ValueError where it is made if groups is not 1; else as Conv2d
/// source      Chollet 2017 (Xception); order and names of the two as in TensorFlow's separable_conv2d
class SeparableConv2d final : public Module {
 public:
  SeparableConv2d(std::int64_t in, std::int64_t out, Size2d kernel, const Device& device,
                  ConvOptions options = {});
  Var forward(const Var& x) override { return pointwise(depthwise(x)); }

  Conv2d depthwise, pointwise;
};

}  // namespace fovea::nn
