// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstdint>

#include "kernels/cpu/vec.h"

/// Sums and moments of contiguous values, which the normalisations share. Internal linkage, as vec.h.
namespace fovea::kernels {
namespace {

using cpu::Vec;
using std::int64_t;

inline int64_t smaller(int64_t a, int64_t b) { return a < b ? a : b; }

inline float inverse_sd(float variance, float eps) { return 1.0f / __builtin_sqrtf(variance + eps); }
inline Vec inverse_sd(Vec variance, Vec eps) { return Vec::all(1.0f) / sqrt(variance + eps); }

constexpr int64_t kSegment = 4096;  // elements summed before they are merged; fits L1

struct Moments {
  double count = 0, mean = 0, m2 = 0;
  void merge(const Moments& b) {
    const double total = count + b.count, delta = b.mean - mean;
    mean += delta * (b.count / total);
    m2 += b.m2 + delta * delta * (count * (b.count / total));
    count = total;
  }
};

struct Sums {
  double first = 0, second = 0;
};

/// Σ of first(v) and second(v) for v = value(i) over n elements.
template <class Value>
Sums sum_segment(int64_t n, const Value& value) {
  constexpr int kChains = 4;  // additions of a chain wait for each other
  Vec first[kChains], second[kChains];
  for (int k = 0; k < kChains; ++k) first[k] = second[k] = Vec::zero();
  int64_t i = 0;
  for (; i + kChains * Vec::kLanes <= n; i += kChains * Vec::kLanes)
    for (int k = 0; k < kChains; ++k) value(i + k * Vec::kLanes, Vec::kLanes, first[k], second[k]);
  for (; i < n; i += Vec::kLanes)
    value(i, n - i < Vec::kLanes ? static_cast<int>(n - i) : Vec::kLanes, first[0], second[0]);
  const auto total = [](const Vec(&of)[kChains]) {
    return static_cast<double>(sum((of[0] + of[1]) + (of[2] + of[3])));
  };
  return {total(first), total(second)};
}

/// Σd and Σd² of d = x - centre.
inline Sums deviations(const float* x, int64_t n, Vec centre) {
  return sum_segment(n, [&](int64_t i, int lanes, Vec& total, Vec& squares) {
    if (lanes == Vec::kLanes) {
      const Vec d = Vec::load(x + i) - centre;
      total = total + d;
      squares = fma(d, d, squares);
    } else {  // absent lanes are zero: subtract the centre from present ones only
      float padded[Vec::kLanes] = {};
      centre.store_first(padded, lanes);
      const Vec d = Vec::load_first(x + i, lanes) - Vec::load(padded);
      total = total + d;
      squares = fma(d, d, squares);
    }
  });
}

/// One sweep over a segment: squares are summed about the mean of its first elements, and Σd tells how far that is
/// off. Where it is off by more than about a standard deviation, so that Σd² - (Σd)²/n would lose digits, a second
/// sweep sums about the mean itself.
inline Moments segment_moments(const float* x, int64_t n) {
  const int64_t few = smaller(n, 4 * Vec::kLanes);
  const double count = static_cast<double>(n);
  float near = x[0] + static_cast<float>(deviations(x, few, Vec::all(x[0])).first / static_cast<double>(few));
  Sums about = deviations(x, n, Vec::all(near));
  if (2.0 * about.first * about.first > count * about.second) {
    near += static_cast<float>(about.first / count);
    about = deviations(x, n, Vec::all(near));
  }
  const double m2 = about.second - about.first * about.first / count;
  return {count, static_cast<double>(near) + about.first / count, m2 < 0 ? 0 : m2};
}

}  // namespace
}  // namespace fovea::kernels
