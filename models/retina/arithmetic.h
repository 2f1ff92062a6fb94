// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <bit>
#include <cmath>
#include <cstdint>

/// Elementary functions of the simulator: additions, multiplications and divisions only, so that loops over
/// them vectorise, and so that their bits depend neither on the C library nor on the vector width.
namespace fovea::retina {

/// e^{-x} for x ≥ 0; relative error below 2e-7, and below 1.2e-38 the value stays there instead of reaching
/// 0.
inline float exp_negative(float x) {
  // The smaller of x and 87, compared as integers (the bits of floats ≥ 0 are ordered as they are): a float
  // comparison may trap, so a compiler would keep it as a branch and not vectorise.
  const std::int32_t pattern = std::bit_cast<std::int32_t>(x), limit = std::bit_cast<std::int32_t>(87.0f);
  const float bounded = std::bit_cast<float>(pattern < limit ? pattern : limit);
  // Adding 1.5·2^23 rounds to an integer in the low bits of the sum.
  const float shifted = bounded * -1.44269504f + 12582912.0f;
  const float n = shifted - 12582912.0f;
  const float r = (-bounded - n * 0.693359375f) - n * -2.12194440e-4f;  // ln 2 in two parts; |r| ≤ 0.35
  float p = 1.3888889e-3f;
  p = p * r + 8.3333333e-3f;
  p = p * r + 4.1666667e-2f;
  p = p * r + 1.6666667e-1f;
  p = p * r + 0.5f;
  p = p * r * r + r + 1.0f;
  // 2^n: the low bits of `shifted` hold n, the shift drops the others.
  const float scale = std::bit_cast<float>((std::bit_cast<std::uint32_t>(shifted) + 127u) << 23);
  return p * scale;
}

/// log(1 + e^x), absolute error below 3e-7·max(1, x).
inline float softplus(float x) {
  const float magnitude = std::fabs(x);
  const float positive = 0.5f * (x + magnitude);  // exactly x or 0
  const float u = exp_negative(magnitude);
  const float s = u / (2.0f + u);  // log(1+u) = 2·atanh(s), s ≤ 1/3
  const float z = s * s;
  float p = 0.15384615f;  // 2/13, 2/11, …, 2/3
  p = p * z + 0.18181818f;
  p = p * z + 0.22222222f;
  p = p * z + 0.28571429f;
  p = p * z + 0.4f;
  p = p * z + 0.66666667f;
  return positive + (s * z * p + 2.0f * s);
}

/// Weight of one step of the low-pass y += weight·(x − y) with time constant tau_s.
inline double low_pass_weight(double dt_s, double tau_s) { return 1.0 - std::exp(-dt_s / tau_s); }

}  // namespace fovea::retina
