// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstdint>

#include "kernels/division.h"
#include "kernels/dtype.h"
#include "kernels/host_device.h"
#include "kernels/queues.h"

/// Maxima and averages over windows of planes: x[planes, H, W] → y[planes, P, Q], f32, contiguous.
///
/// Windows are a product of windows along the rows and windows along the columns. Either kind below answers three
/// questions of an axis: which places a window holds, by how much an average divides, and which windows hold a
/// place. The last is what gradients need: each place gathers from its windows, in ascending order.
namespace fovea {

/// first, first + 1, …, last - 1.
struct Span {
  std::int64_t first, last;
};

/// `out` windows of `kernel` places, `stride` apart, the first one `before` places ahead of the axis, which goes on
/// for `after` places behind its end. The caller guarantees that each holds at least one place of the axis, which
/// padding smaller than the kernel on either side and a last window that starts before place `in` give.
struct SlidingWindows {
  std::int64_t in = 0, out = 0, kernel = 1, stride = 1, before = 0, after = 0;
  bool count_padding = false;

  /// Where window p starts, which may be in the padding.
  FOVEA_HOST_DEVICE std::int64_t start(std::int64_t p) const { return p * stride - before; }
  /// The places that window p holds.
  FOVEA_HOST_DEVICE Span span(std::int64_t p) const {
    const std::int64_t first = start(p), last = first + kernel;
    return {first > 0 ? first : 0, last < in ? last : in};
  }
  /// What an average over window p divides by.
  FOVEA_HOST_DEVICE std::int64_t size(std::int64_t p) const {
    const Span held = span(p);
    if (!count_padding) return held.last - held.first;
    const std::int64_t end = start(p) + kernel;
    return (end < in + after ? end : in + after) - start(p);
  }
  /// The windows that hold place i.
  FOVEA_HOST_DEVICE Span over(std::int64_t i) const {
    const std::int64_t beyond = i + before - kernel + 1;  // the first window may not start before this
    const std::int64_t last = divide(i + before, stride).quotient + 1;
    return {beyond > 0 ? divide(beyond + stride - 1, stride).quotient : 0, last < out ? last : out};
  }
};

/// `out` windows that cover an axis evenly: window p is [⌊p·in/out⌋, ⌈(p + 1)·in/out⌉). The relation is symmetric:
/// window p holds place i exactly if p is in [⌊i·out/in⌋, ⌈(i + 1)·out/in⌉).
struct AdaptiveWindows {
  std::int64_t in = 0, out = 0;

  FOVEA_HOST_DEVICE Span span(std::int64_t p) const {
    return {divide(p * in, out).quotient, divide((p + 1) * in + out - 1, out).quotient};
  }
  FOVEA_HOST_DEVICE std::int64_t size(std::int64_t p) const {
    const Span held = span(p);
    return held.last - held.first;
  }
  FOVEA_HOST_DEVICE Span over(std::int64_t i) const { return AdaptiveWindows{out, in}.span(i); }
};

template <class Windows>
struct Pooling {
  std::int64_t planes = 0;
  Windows rows, columns;
};
using AdaptivePool2d = Pooling<AdaptiveWindows>;
using Pool2d = Pooling<SlidingWindows>;

/// What the places of a window are numbered in, row by row: bytes up to 256 of them.
constexpr DType place_type(const Pool2d& shape) {
  return shape.rows.kernel * shape.columns.kernel <= 256 ? DType::u8 : DType::i32;
}

namespace kernels {

/// y[n, p, q] = max over the window's pixels of x[n, i, j]; padding is never chosen. place[n, p, q], of type
/// place_type(shape), is where in the window it was found, (i - start(p))·S + j - start(q): the first of equal
/// maxima, row by row, and the first NaN if there is one. place may be null.
FOVEA_KERNEL(max_pool2d, const Pool2d& shape, const float* x, float* y, void* place);
/// dx[n, i, j] = Σ dy[n, p, q] over the windows whose place is (i, j).
FOVEA_KERNEL(max_pool2d_grad, const Pool2d& shape, const void* place, const float* dy, float* dx);

/// y[n, p, q] = 1/(size(p)·size(q))·Σ x[n, i, j] over the window.
FOVEA_KERNEL(average_pool2d, const Pool2d& shape, const float* x, float* y);
FOVEA_KERNEL(adaptive_average_pool2d, const AdaptivePool2d& shape, const float* x, float* y);
/// dx[n, i, j] = Σ dy[n, p, q]/(size(p)·size(q)) over the windows that hold (i, j).
FOVEA_KERNEL(average_pool2d_grad, const Pool2d& shape, const float* dy, float* dx);
FOVEA_KERNEL(adaptive_average_pool2d_grad, const AdaptivePool2d& shape, const float* dy, float* dx);

}  // namespace kernels
}  // namespace fovea
