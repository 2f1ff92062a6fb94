// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstdint>

#include "kernels/cpu/vec_exp.h"
#include "kernels/function.h"

/// Functions with an exponential in them on whole vectors: calls of libm take some ten times longer. Internal
/// linkage: each instruction set has its own copy.
namespace fovea::cpu {
namespace {

constexpr bool has_vector_form(Function f) {
  return f == Function::exp || f == Function::softplus || f == Function::sigmoid || f == Function::tanh ||
         f == Function::elu;
}

/// Up to here e^x and e^-x are normal numbers; no further do the vector forms go.
constexpr float kFarthest = 87.0f;

/// Whether a lane holds a NaN or |x| > kFarthest.
[[maybe_unused]] bool any_far(Vec x) {
  const VecBits magnitude = bits_of(x) & INT32_MAX;
  const VecBits far = magnitude > 0x42ae0000;  // of 87
#if defined(__AVX512F__)
  return _mm512_test_epi32_mask((__m512i)far, (__m512i)far) != 0;
#elif defined(__AVX2__)
  return _mm256_movemask_epi8((__m256i)far) != 0;
#else
  std::int32_t any = 0;
  for (int k = 0; k < Vec::kLanes; ++k) any |= far[k];
  return any != 0;
#endif
}

/// log(1 + e) for 0 ≤ e ≤ 1, as 2·atanh(s) with s = e/(2 + e) ≤ 1/3; what the series leaves out is below 2^-26 of it.
[[maybe_unused]] Vec log1p_of_share(Vec e) {
  const Vec s = e / (e + Vec::all(2.0f)), z = s * s;
  Vec series = Vec::all(2.0f / 15);
  constexpr float kTerms[] = {2.0f / 13, 2.0f / 11, 2.0f / 9, 2.0f / 7, 2.0f / 5, 2.0f / 3};
  for (const float term : kTerms) series = fma(series, z, Vec::all(term));
  return fma(s * z, series, s + s);
}

/// f of lanes up to kFarthest.
template <Function f>
Vec near_value(Vec x) {
  if constexpr (f == Function::exp) {
    const PowerOfE e = power_of_e(x);
    return fma(e.scale, e.rest, e.scale);
  }
  if constexpr (f == Function::softplus) {
    const PowerOfE e = power_of_e(vec_of(bits_of(x) | kSign));
    return max(x, Vec::zero()) + log1p_of_share(fma(e.scale, e.rest, e.scale));
  }
  if constexpr (f == Function::sigmoid) return logistic(x);
  if constexpr (f == Function::tanh) return hyperbolic(x);
  if constexpr (f == Function::elu) {
    const VecBits below = bits_of(x) >> 31;
    const Vec value = expm1_below_zero(vec_of(bits_of(x) & below));
    return vec_of((bits_of(value) & below) | (bits_of(x) & ~below));
  }
}

/// y[i] = f(x(i, lanes)) for i < n, x giving vectors. An element's bits do not depend on its neighbours.
template <Function f, class X>
void store_values(std::int64_t n, const X& x, float* y) {
  const auto store_vector = [&](std::int64_t i, int lanes) {
    const Vec in = x(i, lanes);
    store(y + i, lanes, near_value<f>(in));
    if (!any_far(in)) return;
    float each[Vec::kLanes];
    in.store(each);
    for (int k = 0; k < lanes; ++k)
      if (!(each[k] <= kFarthest && each[k] >= -kFarthest)) y[i + k] = value_of<f>(each[k]);
  };
  std::int64_t i = 0;
  for (; i + Vec::kLanes <= n; i += Vec::kLanes) store_vector(i, Vec::kLanes);
  if (i < n) store_vector(i, static_cast<int>(n - i));
}

/// dx[i] = dy[i]·softplus'(x), given y = softplus(x): 1 − e^-y.
[[maybe_unused]] void store_softplus_slopes(std::int64_t n, const float* y, const float* dy, float* dx) {
  const auto store_vector = [&](std::int64_t i, int lanes) {
    const Vec slope = Vec::zero() - expm1_below_zero(Vec::zero() - load(y + i, lanes));
    store(dx + i, lanes, load(dy + i, lanes) * slope);
  };
  std::int64_t i = 0;
  for (; i + Vec::kLanes <= n; i += Vec::kLanes) store_vector(i, Vec::kLanes);
  if (i < n) store_vector(i, static_cast<int>(n - i));
}

}  // namespace
}  // namespace fovea::cpu
