// SPDX-License-Identifier: Apache-2.0
#pragma once

#include "kernels/geometry.h"
#include "nn/module.h"

namespace fovea::nn {

enum class ResizeMode {
  bilinear,  ///< interpolated between four pixels
  nearest,   ///< one of the pixels
};

struct ResizeOptions {
  ResizeMode mode = ResizeMode::bilinear;
  bool align_corners =
      false;  ///< bilinear: corners lie on corners; else pixels are squares of which centres are seen
};

/// Planes of a fixed size; see fovea::resize_bilinear and fovea::resize_nearest for the coordinates.
///
/// x        [B, C, H, W] f32, H and W at least 1
/// returns  [B, C, out.height, out.width]
/// throws   ShapeError naming the layer if x is not such; ValueError if a side of `out` is below 1, or
///          align_corners is asked for with nearest
/// source   coordinates as in PyTorch's interpolate; aligned corners: TensorFlow's resize_bilinear
class Resize final : public Module {
 public:
  explicit Resize(Size2d out, ResizeOptions options = {});
  Var forward(const Var& x) override;

 private:
  Size2d out_;
  ResizeOptions options_;
};

}  // namespace fovea::nn
