// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <utility>

#include "kernels/cpu/counts.h"
#include "kernels/cpu/vec.h"

namespace fovea::cpu {
namespace {

#if defined(__AVX2__)

/// Lane l of the first (second) result row of a step: from a when bit `half` of l is clear, else from b.
constexpr int kept(int l, int half) { return (l & half) == 0 ? l : Vec::kLanes + l - half; }
constexpr int given(int l, int half) { return (l & half) == 0 ? l + half : Vec::kLanes + l; }

template <int half, int... l>
[[gnu::always_inline]] inline void exchange(Vec& a, Vec& b, std::integer_sequence<int, l...>) {
  const auto upper = __builtin_shufflevector(a.v, b.v, kept(l, half)...);
  b.v = __builtin_shufflevector(a.v, b.v, given(l, half)...);
  a.v = upper;
}

/// Squares of `half` rows and lanes that lie off the diagonal change places.
template <int half>
[[gnu::always_inline]] inline void exchange_squares(Vec (&rows)[Vec::kLanes]) {
#pragma GCC unroll 16
  for (int i = 0; i < Vec::kLanes; ++i)
    if ((i & half) == 0)
      exchange<half>(rows[i], rows[i + half], std::make_integer_sequence<int, Vec::kLanes>{});
}

#endif

/// Transposes a square of kLanes rows of kLanes floats: lane j of row i becomes lane i of row j.
[[gnu::always_inline]] inline void transpose(Vec (&rows)[Vec::kLanes]) {
#if defined(__AVX2__)
  exchange_squares<1>(rows);
  exchange_squares<2>(rows);
  exchange_squares<4>(rows);
  if constexpr (Vec::kLanes == 16) exchange_squares<8>(rows);
#else
  for (int i = 0; i < Vec::kLanes; ++i)
    for (int j = 0; j < i; ++j) {
      const float t = rows[i].v[j];
      rows[i].v[j] = rows[j].v[i];
      rows[j].v[i] = t;
    }
#endif
}

/// Lanes 0, 2, 4, … of a, then those of b.
template <int... l>
[[gnu::always_inline]] inline Vec even_lanes(Vec a, Vec b, std::integer_sequence<int, l...>) {
  return {__builtin_shufflevector(a.v, b.v, (2 * l)...)};
}
[[maybe_unused]] Vec even_lanes(Vec a, Vec b) {
  return even_lanes(a, b, std::make_integer_sequence<int, Vec::kLanes>{});
}

/// Lane l of the result is lane at[l] of x.
[[maybe_unused]] Vec picked(Vec x, const std::int32_t* at) {
#if defined(__AVX512F__)
  return {_mm512_maskz_permutexvar_ps(0xffff, _mm512_loadu_si512(at), x.v)};  // see vec.h
#elif defined(__AVX2__)
  return {_mm256_permutevar8x32_ps(x.v, _mm256_loadu_si256(reinterpret_cast<const __m256i*>(at)))};
#else
  Vec result;
  for (int l = 0; l < Vec::kLanes; ++l) result.v[l] = x.v[at[l]];
  return result;
#endif
}

/// Lane j of square[i] = from[j·pitch + i], for `lines` values of j and `count` of i; zeros elsewhere.
[[gnu::always_inline]] inline void load_square(const float* from, Index pitch, Index lines, Index count,
                                               Vec (&square)[Vec::kLanes]) {
  constexpr int kLanes = Vec::kLanes;
  if (lines >= kLanes && count >= kLanes) {
#pragma GCC unroll 16
    for (int j = 0; j < kLanes; ++j) square[j] = Vec::load(from + j * pitch);
  } else {
    const int some = static_cast<int>(least(kLanes, count));
    for (int j = 0; j < kLanes; ++j)
      square[j] = j < lines ? Vec::load_first(from + j * pitch, some) : Vec::zero();
  }
  transpose(square);
}

}  // namespace
}  // namespace fovea::cpu
