// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstdint>

/// The exponential function in a form that the compiler vectorises in any loop; kernels written in `Vec` have
/// theirs in kernels/cpu/vec_exp.h. Internal linkage: each instruction set has its own copy, and all give
/// equal bits.
namespace fovea::cpu {
namespace {

/// e^x for x ≤ 0, relative error below 2e-7; 0 where e^x < 1.2e-38, the least normal number. NaN stays NaN.
///
/// x = n·ln 2 + r with |r| ≤ ln 2/2, then Taylor's polynomial of degree 7, whose rest is below 6e-9. Adding
/// 1.5·2^23 rounds to an integer n and leaves it in the low bits; ln 2 is in two parts, of which n times the
/// first is exact.
[[maybe_unused]] inline float exp_of_negative(float x) {
  constexpr float kLeast = -87.3365f, kRound = 12582912.0f;
  const float cut = x < kLeast ? kLeast : x;
  const float shifted = cut * 1.44269504f + kRound;
  const float n = shifted - kRound;
  const float r = (cut - n * 0.693145752f) - n * 1.42860677e-6f;
  float p = 1.98412698e-4f;
  p = p * r + 1.38888889e-3f;
  p = p * r + 8.33333333e-3f;
  p = p * r + 4.16666667e-2f;
  p = p * r + 1.66666667e-1f;
  p = p * r + 0.5f;
  p = p * r + 1.0f;
  p = p * r + 1.0f;
  std::uint32_t bits;
  __builtin_memcpy(&bits, &shifted, sizeof bits);
  bits = (bits << 23) + 0x3F800000u;  // 2^n
  float power;
  __builtin_memcpy(&power, &bits, sizeof power);
  return x < kLeast ? 0.0f : p * power;
}

}  // namespace
}  // namespace fovea::cpu
