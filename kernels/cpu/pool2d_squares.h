// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstdint>

#include "kernels/cpu/pool2d_parts.h"

/// Max pooling over squares of 2 x 2 pixels: each vector is loaded once, and no window needs a loop. Internal linkage,
/// as vec.h.
namespace fovea {
namespace {

/// Two neighbours in a row of each of kLanes windows side by side.
template <int kLanes>
struct Neighbours {
  using V = typename Lanes<kLanes>::Floats;
  V even, odd;

  static Neighbours load(const float* p) {
    V a, b;
    __builtin_memcpy(&a, p, sizeof a);
    __builtin_memcpy(&b, p + kLanes, sizeof b);
    if constexpr (kLanes == 4)
      return {__builtin_shufflevector(a, b, 0, 2, 4, 6), __builtin_shufflevector(a, b, 1, 3, 5, 7)};
    else if constexpr (kLanes == 8)
      return {__builtin_shufflevector(a, b, 0, 2, 4, 6, 8, 10, 12, 14),
              __builtin_shufflevector(a, b, 1, 3, 5, 7, 9, 11, 13, 15)};
    else
      return {__builtin_shufflevector(a, b, 0, 2, 4, 6, 8, 10, 12, 14, 16, 18, 20, 22, 24, 26, 28, 30),
              __builtin_shufflevector(a, b, 1, 3, 5, 7, 9, 11, 13, 15, 17, 19, 21, 23, 25, 27, 29, 31)};
  }

  void store(float* p) const {
    V a, b;
    if constexpr (kLanes == 4) {
      a = __builtin_shufflevector(even, odd, 0, 4, 1, 5);
      b = __builtin_shufflevector(even, odd, 2, 6, 3, 7);
    } else if constexpr (kLanes == 8) {
      a = __builtin_shufflevector(even, odd, 0, 8, 1, 9, 2, 10, 3, 11);
      b = __builtin_shufflevector(even, odd, 4, 12, 5, 13, 6, 14, 7, 15);
    } else {
      a = __builtin_shufflevector(even, odd, 0, 16, 1, 17, 2, 18, 3, 19, 4, 20, 5, 21, 6, 22, 7, 23);
      b = __builtin_shufflevector(even, odd, 8, 24, 9, 25, 10, 26, 11, 27, 12, 28, 13, 29, 14, 30, 15, 31);
    }
    __builtin_memcpy(p, &a, sizeof a);
    __builtin_memcpy(p + kLanes, &b, sizeof b);
  }
};

/// Whether windows are the squares that 2 x 2 pixels make without overlap or padding, and a row of them fills a
/// vector.
[[maybe_unused]] bool are_squares(const Pool2d& s) {
  const auto pairs = [](const SlidingWindows& w) {
    return w.kernel == 2 && w.stride == 2 && w.before == 0 && 2 * w.out <= w.in;
  };
  return pairs(s.rows) && pairs(s.columns) && s.columns.out >= 4;
}

/// Maxima of kLanes squares side by side; the first of them begins at top[0] and bottom[0].
template <int kLanes>
[[gnu::always_inline]] inline void max_of_squares(const float* top, const float* bottom, float* y,
                                                  std::uint8_t* place) {
  using I = typename Lanes<kLanes>::Ints;
  const auto upper = Neighbours<kLanes>::load(top), lower = Neighbours<kLanes>::load(bottom);
  auto best = upper.even;
  I found{};
  const auto compare = [&](auto value, std::int32_t number) {
    const I stays = (value <= best) | (best != best);  // greater, or the first NaN, wins
    best = stays ? best : value;
    found = stays ? found : I{} + number;
  };
  compare(upper.odd, 1);
  compare(lower.even, 2);
  compare(lower.odd, 3);
  store_first(LaneCount<kLanes>{}, y, kLanes, best);
  if (place != nullptr) store_first(LaneCount<kLanes>{}, place, kLanes, found);
}

template <int kLanes>
void max_pool2d_squares(cpu::Queue& queue, const Pool2d& s, const float* x, float* y, std::uint8_t* place) {
  if constexpr (kLanes > 4)
    if (s.columns.out < kLanes) return max_pool2d_squares<kLanes / 2>(queue, s, x, y, place);
  const int64_t width = s.columns.in, out = s.columns.out;
  for_planes(queue, s, 0, 0.0f, [=, &s](int64_t n, float*) {
    for (int64_t p = 0; p < s.rows.out; ++p) {
      const float* const top = x + (n * s.rows.in + 2 * p) * width;
      const int64_t at = (n * s.rows.out + p) * out;
      for (int64_t q = 0; q < out; q += kLanes) {
        const int64_t from = cpu::least(q, out - kLanes);  // at the end some once more: the same values again
        max_of_squares<kLanes>(top + 2 * from, top + width + 2 * from, y + at + from,
                               place != nullptr ? place + at + from : nullptr);
      }
    }
  });
}

/// The slopes of kLanes squares side by side: each goes to one of four pixels, which hold nothing else.
template <int kLanes>
[[gnu::always_inline]] inline void slopes_of_squares(const std::uint8_t* place, const float* dy, float* top,
                                                     float* bottom) {
  using V = typename Lanes<kLanes>::Floats;
  using I = typename Lanes<kLanes>::Ints;
  typedef std::uint8_t Bytes __attribute__((vector_size(kLanes)));
  Bytes bytes;
  V slope;
  __builtin_memcpy(&bytes, place, sizeof bytes);
  __builtin_memcpy(&slope, dy, sizeof slope);
  const I found = __builtin_convertvector(bytes, I);
  const auto where = [&](std::int32_t number) { return found == number ? slope : V{}; };
  Neighbours<kLanes>{where(0), where(1)}.store(top);
  Neighbours<kLanes>{where(2), where(3)}.store(bottom);
}

template <int kLanes>
void max_pool2d_squares_grad(cpu::Queue& queue, const Pool2d& s, const std::uint8_t* place, const float* dy,
                             float* dx) {
  if constexpr (kLanes > 4)
    if (s.columns.out < kLanes) return max_pool2d_squares_grad<kLanes / 2>(queue, s, place, dy, dx);
  const int64_t width = s.columns.in, out = s.columns.out;
  for_planes(queue, s, 0, 0.0f, [=, &s](int64_t n, float*) {
    float* const plane = dx + n * s.rows.in * width;
    for (int64_t p = 0; p < s.rows.out; ++p) {
      float* const top = plane + 2 * p * width;
      const int64_t at = (n * s.rows.out + p) * out;
      for (int64_t q = 0; q < out; q += kLanes) {
        const int64_t from = cpu::least(q, out - kLanes);
        slopes_of_squares<kLanes>(place + at + from, dy + at + from, top + 2 * from, top + width + 2 * from);
      }
      for (int64_t j = 2 * out; j < width; ++j) top[j] = top[width + j] = 0.0f;  // no window holds these
    }
    for (int64_t i = 2 * s.rows.out * width; i < s.rows.in * width; ++i) plane[i] = 0.0f;
  });
}

}  // namespace
}  // namespace fovea
