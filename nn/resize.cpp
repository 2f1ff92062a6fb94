// SPDX-License-Identifier: Apache-2.0
#include "nn/resize.h"

#include "autograd/ops/resize.h"

namespace fovea::nn {

Resize::Resize(Size2d out, ResizeOptions options) : out_(out), options_(options) {
  check_sides("resize", "out", out, 1);
  if (options.mode == ResizeMode::nearest && options.align_corners)
    reject<ValueError>("resize", "align_corners is for bilinear; nearest has no such choice");
}

Var Resize::forward(const Var& x) {
  check_planes(label("resize").c_str(), x.shape());
  return options_.mode == ResizeMode::nearest ? resize_nearest(x, out_)
                                              : resize_bilinear(x, out_, options_.align_corners);
}

}  // namespace fovea::nn
