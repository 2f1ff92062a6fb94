// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstdint>

#include "kernels/geometry.h"
#include "tensor/errors.h"
#include "tensor/shape.h"

/// Checks of ops that give planes another size.
namespace fovea {

/// The longest side of a window or a plane that is made.
inline constexpr std::int64_t kMostPixels = INT32_MAX;

/// throws ShapeError naming op and x unless x is [N, C, H, W] with pixels
inline void check_planes(const char* op, const Shape& x) {
  if (x.rank() != 4 || x[2] == 0 || x[3] == 0)
    reject(op, "x {} is not [N, C, H, W] with at least one pixel in each plane", x);
}

/// throws ValueError naming op, `what` and its size unless both sides are least..kMostPixels
inline void check_sides(const char* op, const char* what, Size2d size, std::int64_t least) {
  const auto within = [&](std::int64_t side) { return side >= least && side <= kMostPixels; };
  if (!within(size.height) || !within(size.width))
    reject<ValueError>(op, "{} {}×{} has a side outside of {}..{}", what, size.height, size.width, least,
                       kMostPixels);
}

}  // namespace fovea
