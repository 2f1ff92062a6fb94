// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstdint>

#include "kernels/geometry.h"

/// Arithmetic of strides and dilations along one axis that the convolutions of host and device share.
/// Internal linkage: each instruction set has its own copy.
namespace fovea {
namespace {

/// Greatest common divisor of two numbers of at least 1.
constexpr std::int64_t common_divisor(std::int64_t a, std::int64_t b) {
  while (b != 0) {
    const std::int64_t rest = a % b;
    a = b;
    b = rest;
  }
  return a;
}

/// Pixels of an input gradient that meet the same taps, along one axis.
///
/// Note [Phases of a strided gradient]: pixel i and output p meet at tap r where i + padding = p·stride +
/// r·dilation. So the pixels i = first + k·stride, one in `stride`, share their taps, every `tap_step`-th
/// one, and in descending order of taps they read the slopes at k − padding, k − padding + dilation, …: a
/// correlation of stride 1. An input gradient is stride_h·stride_w of these, and no product with an
/// inserted zero is made.
struct Phase {
  std::int64_t first, count;              ///< pixels first + k·stride, 0 ≤ k < count
  std::int64_t taps, last_tap, tap_step;  ///< tap number t of the correlation is last_tap − t·tap_step
  std::int64_t dilation, padding;  ///< pixel k reads dy[k + t·dilation − padding]; padding may be < 0
};

/// Phase `first` of 0..stride-1 of a gradient of `inputs` pixels.
constexpr Phase phase_of(std::int64_t first, std::int64_t inputs, std::int64_t kernel, std::int64_t stride,
                         std::int64_t dilation, std::int64_t padding) {
  const std::int64_t divisor = common_divisor(stride, dilation), tap_step = stride / divisor;
  Phase phase{
      first, first < inputs ? (inputs - first + stride - 1) / stride : 0, 0, 0, tap_step, dilation / divisor,
      0};
  std::int64_t tap = 0;
  while (tap < tap_step && tap < kernel && (first + padding - tap * dilation) % stride != 0) ++tap;
  if (tap == tap_step || tap >= kernel) return phase;  // no tap meets these pixels
  phase.taps = (kernel - 1 - tap) / tap_step + 1;
  phase.last_tap = tap + (phase.taps - 1) * tap_step;
  phase.padding = (phase.taps - 1) * phase.dilation - (first + padding - tap * dilation) / stride;
  return phase;
}
// Stride 1: all taps, turned around. A kernel of 3, stride 2, padding 1: pixel 0 meets tap 1 of output 0,
// pixel 1 meets tap 2 of output 0 and tap 0 of output 1. Stride and dilation 2, padding 0: nothing meets
// pixel 1.
static_assert(phase_of(0, 9, 3, 1, 1, 1).taps == 3 && phase_of(0, 9, 3, 1, 1, 1).padding == 1);
static_assert(phase_of(0, 9, 3, 2, 1, 1).taps == 1 && phase_of(0, 9, 3, 2, 1, 1).last_tap == 1);
static_assert(phase_of(1, 9, 3, 2, 1, 1).taps == 2 && phase_of(1, 9, 3, 2, 1, 1).last_tap == 2);
static_assert(phase_of(1, 9, 3, 2, 1, 1).padding == 0 && phase_of(1, 9, 3, 2, 1, 1).count == 4);
static_assert(phase_of(1, 9, 3, 2, 2, 0).taps == 0);

constexpr Phase phase_down(const Conv2d& shape, std::int64_t first) {
  return phase_of(first, shape.in_height, shape.kernel_height, shape.stride.height, shape.dilation.height,
                  shape.padding.top);
}
constexpr Phase phase_across(const Conv2d& shape, std::int64_t first) {
  return phase_of(first, shape.in_width, shape.kernel_width, shape.stride.width, shape.dilation.width,
                  shape.padding.left);
}

/// Whether some pixels of the input gradient meet no tap at all, so that no phase writes them.
constexpr bool has_gaps(const Conv2d& shape) {
  bool gaps = false;
  for (std::int64_t i = 0; i < shape.stride.height; ++i) gaps = gaps || phase_down(shape, i).taps == 0;
  for (std::int64_t j = 0; j < shape.stride.width; ++j) gaps = gaps || phase_across(shape, j).taps == 0;
  return gaps;
}

/// Calls f(down, across) for each phase of the input gradient that has pixels and taps.
template <class F>
void for_phases(const Conv2d& shape, const F& f) {
  for (std::int64_t i = 0; i < shape.stride.height; ++i)
    for (std::int64_t j = 0; j < shape.stride.width; ++j) {
      const Phase down = phase_down(shape, i), across = phase_across(shape, j);
      if (down.taps > 0 && across.taps > 0 && down.count > 0 && across.count > 0) f(down, across);
    }
}

}  // namespace
}  // namespace fovea
