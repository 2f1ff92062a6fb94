// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstdint>

#include "kernels/division.h"
#include "kernels/host_device.h"
#include "kernels/queues.h"

namespace fovea {

/// How the `out` results along an axis lie over its `in` places: result p at place (p·scale + shift)/unit, not before
/// place 0. All in integers, so that no rounding can move a result across a place.
///
/// With corners on corners, scale = in - 1, shift = 0, unit = out - 1 (out = 1: scale = 0, unit = 1). With pixels as
/// squares, (p + 1/2)·in/out - 1/2: scale = 2·in, shift = in - out, unit = 2·out. For the nearest pixel scale = in,
/// shift = 0, unit = out, and the fraction is left out.
struct ResizeAxis {
  std::int64_t in = 0, out = 0, scale = 0, shift = 0, unit = 1;

  /// whole + part/unit, 0 ≤ part < unit; whole is -1 for what lies before place 0.
  struct Position {
    std::int64_t whole, part;
  };
  FOVEA_HOST_DEVICE Position at(std::int64_t p) const {
    const std::int64_t numerator = p * scale + shift;
    if (numerator < 0) return {-1, numerator + unit};
    const Division d = divide(numerator, unit);
    return {d.quotient, d.remainder};
  }
  /// From one result to the next: at(p + 1) = next(at(p), step()), without a division.
  FOVEA_HOST_DEVICE Position step() const {
    const Division d = divide(scale, unit);
    return {d.quotient, d.remainder};
  }
  FOVEA_HOST_DEVICE Position next(Position from, Position step) const {
    const std::int64_t part = from.part + step.part, carry = part >= unit ? 1 : 0;
    return {from.whole + step.whole + carry, part - carry * unit};
  }

  /// Weights of the two places that a result lies between; at the end of the axis both are the last place.
  struct Source {
    std::int64_t low, high;
    float low_weight, high_weight;
    /// Of place i in this result.
    FOVEA_HOST_DEVICE float weight(std::int64_t i) const {
      return (low == i ? low_weight : 0.0f) + (high == i ? high_weight : 0.0f);
    }
  };
  FOVEA_HOST_DEVICE Source source(Position from) const {
    if (from.whole < 0) return {0, 0, 1.0f, 0.0f};
    const float all = static_cast<float>(unit);
    return {from.whole, from.whole + 1 < in ? from.whole + 1 : from.whole,
            static_cast<float>(unit - from.part) / all, static_cast<float>(from.part) / all};
  }

  /// The first result that lies at place i or behind it.
  FOVEA_HOST_DEVICE std::int64_t first_from(std::int64_t i) const {
    const std::int64_t numerator = i * unit - shift;
    if (i <= 0 || numerator <= 0) return 0;
    if (scale == 0) return out;
    const std::int64_t p = divide(numerator + scale - 1, scale).quotient;
    return p < out ? p : out;
  }
};

struct Resize2d {
  std::int64_t planes = 0;
  ResizeAxis rows, columns;
  bool nearest = false;
};

/// Planes of another size: x[planes, H, W] → y[planes, P, Q], f32, contiguous.
namespace kernels {

/// Bilinear: y[n, p, q] = Σ_{i,j} a[p, i]·b[q, j]·x[n, i, j], where a and b are the weights of the rows and columns
/// that p and q lie between. Nearest: y[n, p, q] = x[n, i, j], the places that p and q lie on or behind.
FOVEA_KERNEL(resize, const Resize2d& shape, const float* x, float* y);
/// dx[n, i, j] = Σ_{p,q} a[p, i]·b[q, j]·dy[n, p, q]; nearest: Σ dy[n, p, q] over the results that took (i, j).
FOVEA_KERNEL(resize_grad, const Resize2d& shape, const float* dy, float* dx);

}  // namespace kernels
}  // namespace fovea
