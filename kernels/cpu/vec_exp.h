// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstdint>

#include "kernels/cpu/vec.h"

/// Sigmoid and tanh of whole vectors: a call of libm for each element would take longer than a recurrent step's
/// product. They are within 3 u of the result, as far as x > −87.
namespace fovea::cpu {
namespace {

using VecBits [[gnu::vector_size(4 * Vec::kLanes)]] = std::int32_t;

VecBits bits_of(Vec x) {
  VecBits bits;
  __builtin_memcpy(&bits, &x.v, sizeof bits);
  return bits;
}
Vec vec_of(VecBits bits) {
  Vec x;
  __builtin_memcpy(&x.v, &bits, sizeof bits);
  return x;
}

/// e^x = scale + scale·rest for x ≤ 0, with a scale of 2^n: so e^x and e^x − 1 both keep their digits.
struct PowerOfE {
  Vec scale, rest;
};

/// x = n·ln 2 + r with |r| ≤ ln 2/2, where the series of e^r − 1 ends after seven terms. x below −87 counts as −87.
PowerOfE power_of_e(Vec x) {
  x = max(Vec::all(-87.0f), x);
  const Vec to_integer = Vec::all(12582912.0f);  // 1.5·2²³: a sum with it has no binary places left
  const Vec shifted = fma(x, Vec::all(1.44269504f), to_integer);
  const Vec n = shifted - to_integer;
  // ln 2 in two parts, n times the first of which is exact.
  const Vec r = fma(n, Vec::all(2.12194440e-4f), fma(n, Vec::all(-0.693359375f), x));
  Vec series = Vec::all(1.0f / 5040);
  constexpr float kTerms[] = {1.0f / 720, 1.0f / 120, 1.0f / 24, 1.0f / 6, 1.0f / 2};
  for (const float term : kTerms) series = fma(series, r, Vec::all(term));
  // The last bits of `shifted` are n; as an exponent they stand 23 places higher.
  return {vec_of((bits_of(shifted) << 23) + 0x3f800000), fma(series, r * r, r)};
}

/// e^x for x ≤ 0; 0 where it is no normal number. NaN stays NaN.
[[maybe_unused]] Vec exp_below_zero(Vec x) {
  const PowerOfE e = power_of_e(x);
  const VecBits vanishes = (VecBits)(x.v < Vec::all(-87.0f).v);
  return vec_of(bits_of(fma(e.scale, e.rest, e.scale)) & ~vanishes);
}

/// e^x − 1 for x ≤ 0
[[maybe_unused]] Vec expm1_below_zero(Vec x) {
  const PowerOfE e = power_of_e(x);
  return fma(e.scale, e.rest, e.scale - Vec::all(1.0f));
}

constexpr std::int32_t kSign = INT32_MIN;

/// 1/(1 + e^-x)
[[maybe_unused]] Vec logistic(Vec x) {
  const PowerOfE e = power_of_e(vec_of(bits_of(x) | kSign));
  const Vec small = fma(e.scale, e.rest, e.scale), one = Vec::all(1.0f);
  const VecBits negative = bits_of(x) >> 31;
  return vec_of((bits_of(small) & negative) | (bits_of(one) & ~negative)) / (one + small);
}

/// tanh x = −m/(m + 2) with m = e^-2|x| − 1, and x's sign
[[maybe_unused]] Vec hyperbolic(Vec x) {
  const Vec away = vec_of(bits_of(x) | kSign);
  const Vec m = expm1_below_zero(away + away);
  const Vec magnitude = m / (m + Vec::all(2.0f));
  return vec_of((bits_of(magnitude) & ~kSign) | (bits_of(x) & kSign));
}

}  // namespace
}  // namespace fovea::cpu
