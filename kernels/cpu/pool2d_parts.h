// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstdint>

#include "kernels/arena.h"
#include "kernels/cpu/loops.h"
#include "kernels/cpu/queue.h"
#include "kernels/cpu/vec.h"
#include "kernels/ops/pool2d.h"

/// What pool2d.cpp and pool2d_squares.h share: windows side by side in lanes, and planes in parts. Internal linkage,
/// as vec.h.
namespace fovea {
namespace {

using std::int64_t;

template <int kLanes>
struct Lanes {
  typedef float Floats __attribute__((vector_size(4 * kLanes)));
  typedef std::int32_t Ints __attribute__((vector_size(4 * kLanes)));
};

template <int kLanes>
struct LaneCount {};

/// p[0], p[step], p[2·step], …; kStep is 1, 2, or 0 for any other. Reads nothing behind the last of them.
template <int kLanes, int kStep>
typename Lanes<kLanes>::Floats load_apart(const float* p, int64_t step) {
  using V = typename Lanes<kLanes>::Floats;
  V a;
  if constexpr (kStep == 1) {
    __builtin_memcpy(&a, p, sizeof a);
  } else if constexpr (kStep == 2) {
    V b;  // one element back, so that the last one read is the last one wanted
    __builtin_memcpy(&a, p, sizeof a);
    __builtin_memcpy(&b, p + kLanes - 1, sizeof b);
    if constexpr (kLanes == 4) a = __builtin_shufflevector(a, b, 0, 2, 5, 7);
    if constexpr (kLanes == 8) a = __builtin_shufflevector(a, b, 0, 2, 4, 6, 9, 11, 13, 15);
    if constexpr (kLanes == 16)
      a = __builtin_shufflevector(a, b, 0, 2, 4, 6, 8, 10, 12, 14, 17, 19, 21, 23, 25, 27, 29, 31);
  } else {
    for (int k = 0; k < kLanes; ++k) a[k] = p[k * step];
  }
  return a;
}

/// The first `count` lanes of v, as To.
template <class To, int kLanes, class V>
void store_first(LaneCount<kLanes>, To* to, int64_t count, V v) {
  typedef To Converted __attribute__((vector_size(sizeof(To) * kLanes)));
  const Converted all = __builtin_convertvector(v, Converted);
  if (count == kLanes) {
    __builtin_memcpy(to, &all, sizeof all);
    return;
  }
  To each[kLanes];
  __builtin_memcpy(each, &all, sizeof each);
  for (int64_t k = 0; k < count; ++k) to[k] = each[k];
}

/// Planes of one part.
template <class Windows>
int64_t planes_of_part(const Pooling<Windows>& s) {
  return cpu::group_of(s.rows.in * s.columns.in + s.rows.out * s.columns.out);
}

/// Calls f(n, room) for each plane; a part of the work is whole planes. `room` is the part's, `floats` of `fill`.
template <class Windows, class F>
void for_planes(cpu::Queue& queue, const Pooling<Windows>& s, int64_t floats, float fill, F&& f) {
  const int64_t size = planes_of_part(s);
  Scratch<float> room(queue, cpu::blocks_of(s.planes, size) * floats, "pool2d");
  const auto planes = [&](int64_t first, int64_t last) {
    float* const mine = room.data() + first / size * floats;
    for (int64_t k = 0; k < floats; ++k) mine[k] = fill;
    for (int64_t n = first; n < last; ++n) f(n, mine);
  };
  cpu::for_ranges(queue, s.planes, planes, size);
}

}  // namespace
}  // namespace fovea
