// SPDX-License-Identifier: Apache-2.0
#pragma once

#include "autograd/ops/pool2d.h"
#include "nn/module.h"

namespace fovea::nn {

/// As fovea::Pool2dOptions, and `same`.
struct PoolOptions {
  Size2d stride = 0;      ///< pixels between windows; 0 is the kernel's size
  Padding2d padding = 0;  ///< less than the kernel on each side
  bool same = false;  ///< pad each input so that ⌈H/stride⌉ × ⌈W/stride⌉ results come out (TensorFlow's SAME)
  bool ceil_mode = false;  ///< a last window that starts inside, but does not end there, counts, too
  bool count_padding =
      false;  ///< averages divide by the pixels in the padding as well; PyTorch's default is true
};

/// Maximum over windows of planes; see fovea::max_pool2d for ties and NaN.
///
/// x        [B, C, H, W] f32
/// returns  [B, C, P, Q], P = ⌊(H + padding - kernel)/stride⌋ + 1; with `same` ⌈H/stride⌉; Q likewise
/// throws   ValueError (kernel and options, when it is made); ShapeError naming the layer if no window fits into x
/// source   Riesenhuber and Poggio 1999, Hierarchical models of object recognition in cortex
class MaxPool2d final : public Module {
 public:
  explicit MaxPool2d(Size2d kernel, PoolOptions options = {});
  Var forward(const Var& x) override;

 private:
  Size2d kernel_;
  PoolOptions options_;
};

/// Average over windows of planes: of their pixels alone, or of the padding's zeros as well (options.count_padding).
///
/// x        [B, C, H, W] f32
/// returns  as MaxPool2d
/// throws   as MaxPool2d
/// source   LeCun et al. 1989, Backpropagation applied to handwritten zip code recognition
class AveragePool2d final : public Module {
 public:
  explicit AveragePool2d(Size2d kernel, PoolOptions options = {});
  Var forward(const Var& x) override;

 private:
  Size2d kernel_;
  PoolOptions options_;
};

/// Averages over windows that cover each plane evenly, whatever its size.
///
/// x        [B, C, H, W] f32, H and W at least 1
/// returns  [B, C, out.height, out.width]
/// throws   ShapeError naming the layer if x is not such; ValueError if a side of `out` is below 1
/// source   windows as in PyTorch's AdaptiveAvgPool2d
class AdaptiveAveragePool2d final : public Module {
 public:
  explicit AdaptiveAveragePool2d(Size2d out);
  Var forward(const Var& x) override;

 private:
  Size2d out_;
};

/// The average of each plane.
///
/// x        [B, C, H, W] f32 or f64, H and W at least 1
/// returns  [B, C]
/// throws   ShapeError naming the layer if x is not such
/// source   Lin, Chen, Yan 2014, Network in network
class GlobalAveragePool2d final : public Module {
 public:
  Var forward(const Var& x) override;
};

}  // namespace fovea::nn
