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
  Vec first[2] = {Vec::zero(), Vec::zero()}, second[2] = {Vec::zero(), Vec::zero()};
  int64_t i = 0;
  for (; i + 2 * Vec::kLanes <= n; i += 2 * Vec::kLanes)
    for (int k = 0; k < 2; ++k) value(i + k * Vec::kLanes, Vec::kLanes, first[k], second[k]);
  for (; i < n; i += Vec::kLanes)
    value(i, n - i < Vec::kLanes ? static_cast<int>(n - i) : Vec::kLanes, first[0], second[0]);
  return {static_cast<double>(sum(first[0] + first[1])), static_cast<double>(sum(second[0] + second[1]))};
}

/// Two sweeps over a segment that lies in L1: one finds its mean nearly, the other sums squares about that,
/// and by Σ(x - m) what m is off.
inline Moments segment_moments(const float* x, int64_t n) {
  const Vec origin = Vec::all(x[0]);
  const auto deviations = [&](Vec centre) {
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
  };
  const double count = static_cast<double>(n);
  const float near = x[0] + static_cast<float>(deviations(origin).first / count);
  const Sums about = deviations(Vec::all(near));
  const double m2 = about.second - about.first * about.first / count;
  return {count, static_cast<double>(near) + about.first / count, m2 < 0 ? 0 : m2};
}

}  // namespace
}  // namespace fovea::kernels
