// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstdint>

#include "kernels/cpu/counts.h"
#include "kernels/cpu/queue.h"
#include "kernels/geometry.h"

/// How the pointwise kernels divide their work among threads. Internal linkage: each instruction set has its
/// own copy.
namespace fovea::cpu {
namespace {

/// Elements of one part: large enough that handing it out costs nothing, small enough that its operands stay
/// in the second-level cache. Whole 64-byte lines of every element type.
constexpr std::int64_t kPartElements = 16384;

/// Whole things of `elements` > 0 each, such as planes, that make one part.
constexpr std::int64_t group_of(std::int64_t elements) {
  return elements < kPartElements ? kPartElements / elements : 1;
}

/// Calls f(first, last) for ranges that cover 0..count-1; `size` elements each, the last one shorter.
template <class F>
void for_ranges(Queue& queue, std::int64_t count, F&& f, std::int64_t size = kPartElements) {
  for_parts(queue, blocks_of(count, size), [&](std::int64_t part) {
    const std::int64_t first = part * size;
    f(first, least(first + size, count));
  });
}

/// Calls f(n, offset) for runs of n elements along the innermost loop that cover the shape; offset[k] is
/// where operand k starts. A run never crosses a row, and rows are cut where a part ends.
template <int kOperands, class F>
void for_runs(Queue& queue, const Strided& shape, F&& f) {
  const int inner = shape.rank - 1;  // -1: a scalar
  const std::int64_t width = inner >= 0 ? shape.extent[inner] : 1;
  for_ranges(queue, shape.count(), [&](std::int64_t first, std::int64_t last) {
    std::int64_t index[kMaxRank] = {}, offset[kOperands] = {};
    std::int64_t rest = first;
    for (int d = inner; d >= 0; --d) {
      index[d] = rest % shape.extent[d];
      rest /= shape.extent[d];
      for (int k = 0; k < kOperands; ++k) offset[k] += index[d] * shape.stride[k][d];
    }
    std::int64_t column = inner >= 0 ? index[inner] : 0;
    for (std::int64_t i = first; i < last;) {
      const std::int64_t n = least(width - column, last - i);
      f(n, offset);
      i += n;
      if (i == last) break;
      // The run ended with its row: back to column 0 of the next one, like an odometer.
      for (int k = 0; k < kOperands; ++k) offset[k] -= column * shape.stride[k][inner];
      column = 0;
      for (int d = inner - 1; d >= 0; --d) {
        for (int k = 0; k < kOperands; ++k) offset[k] += shape.stride[k][d];
        if (++index[d] < shape.extent[d]) break;
        for (int k = 0; k < kOperands; ++k) offset[k] -= index[d] * shape.stride[k][d];
        index[d] = 0;
      }
    }
  });
}

}  // namespace
}  // namespace fovea::cpu
