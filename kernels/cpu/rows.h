// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstdint>

#include "kernels/arena.h"
#include "kernels/cpu/loops.h"
#include "kernels/cpu/vec.h"

/// Work on rows of a matrix, each by itself. Internal linkage: each instruction set has its own copy.
namespace fovea::cpu {
namespace {

/// Calls f(row) for all rows; short ones share a part.
template <class F>
void for_rows(Queue& queue, std::int64_t rows, std::int64_t width, F&& f) {
  const std::int64_t grouped = width < kPartElements ? kPartElements / (width < 1 ? 1 : width) : 1;
  for_ranges(
      queue, rows,
      [&](std::int64_t first, std::int64_t last) {
        for (std::int64_t row = first; row < last; ++row) f(row);
      },
      grouped);
}

/// Σ term(i) for i < count, in double: sixteen sums side by side, so that additions need not wait for each
/// other, then added in pairs.
template <class Term>
double sum_of(std::int64_t count, const Term& term) {
  constexpr int kChains = 16;
  double chain[kChains] = {};
  std::int64_t i = 0;
  for (; i + kChains <= count; i += kChains)
    for (int k = 0; k < kChains; ++k) chain[k] += static_cast<double>(term(i + k));
  for (int k = 0; i + k < count; ++k) chain[k] += static_cast<double>(term(i + k));
  for (int step = kChains / 2; step > 0; step /= 2)
    for (int k = 0; k < step; ++k) chain[k] += chain[k + step];
  return chain[0];
}

/// *total = scale·Σ_row term(row), rows in order, in double.
template <class Term>
void sum_over_rows(Queue& queue, std::int64_t rows, std::int64_t width, double scale, float* total,
                   const char* owner, const Term& term) {
  Scratch<double> of_row(queue, rows, owner);
  double* const sums = of_row.data();
  for_rows(queue, rows, width, [&](std::int64_t row) { sums[row] = term(row); });
  double sum = 0.0;
  for (std::int64_t row = 0; row < rows; ++row) sum += sums[row];
  *total = static_cast<float>(scale * sum);
}

/// The largest of count ≥ 1 elements; if there is a NaN, perhaps NaN.
[[maybe_unused]] float largest(const float* x, std::int64_t count) {
  constexpr int kChains = 4;
  Vec most[kChains];
  for (int k = 0; k < kChains; ++k) most[k] = Vec::all(x[0]);
  std::int64_t i = 0;
  for (; i + kChains * Vec::kLanes <= count; i += kChains * Vec::kLanes)
    for (int k = 0; k < kChains; ++k) most[k] = max(most[k], Vec::load(x + i + k * Vec::kLanes));
  for (; i + Vec::kLanes <= count; i += Vec::kLanes) most[0] = max(most[0], Vec::load(x + i));
  float lane[Vec::kLanes];
  max(max(most[0], most[1]), max(most[2], most[3])).store(lane);
  for (int k = 0; i + k < count; ++k) lane[k] = x[i + k] > lane[k] ? x[i + k] : lane[k];
  float all = lane[0];
  for (int k = 1; k < Vec::kLanes; ++k) all = lane[k] > all ? lane[k] : all;
  return all;
}

}  // namespace
}  // namespace fovea::cpu
