// SPDX-License-Identifier: Apache-2.0
#pragma once

#include "kernels/cpu/counts.h"
#include "kernels/cpu/transpose.h"
#include "kernels/cpu/vec.h"
#include "kernels/ops/recurrent.h"

/// The products of a step: R samples times V vectors of results stay in registers, so each vector of weights is used
/// R times and each number of a sample V times. Weights are packed once for a sequence, in the order in which they
/// are read: w[tile][k][v][lane].
namespace fovea::cpu {
namespace {

constexpr int kSums =
    Vec::kRegisters == 32 ? 24 : 12;  // the other registers hold weights and a sample's number
template <int V>
constexpr int kRows = kSums / V;

/// sums[r][v] = Σ_k x[r][k]·w[k][v]. A single sample would wait for its sums one after the other: it has up to four
/// of each, which take the terms in turn.
template <int R, int V>
[[gnu::always_inline]] inline void multiply(const float* w, Index terms, const float* const (&x)[R],
                                            Vec (&sums)[R][V]) {
  constexpr int kChains = R * V * 4 <= kSums ? 4 : R * V * 2 <= kSums ? 2 : 1;
  Vec parts[kChains][R][V] = {};
  const auto add = [&](int c, Index k) {
    Vec weights[V];
#pragma GCC unroll 4
    for (int v = 0; v < V; ++v) weights[v] = Vec::load(w + (k * V + v) * Vec::kLanes);
#pragma GCC unroll 8
    for (int r = 0; r < R; ++r) {
      const Vec one = Vec::all(x[r][k]);
#pragma GCC unroll 4
      for (int v = 0; v < V; ++v) parts[c][r][v] = fma(weights[v], one, parts[c][r][v]);
    }
  };
  Index k = 0;
  for (; k + kChains <= terms; k += kChains) {
#pragma GCC unroll 4
    for (int c = 0; c < kChains; ++c) add(c, k + c);
  }
  for (; k < terms; ++k) add(0, k);
#pragma GCC unroll 8
  for (int r = 0; r < R; ++r)
#pragma GCC unroll 4
    for (int v = 0; v < V; ++v) {
      sums[r][v] = parts[0][r][v];
      for (int c = 1; c < kChains; ++c) sums[r][v] = sums[r][v] + parts[c][r][v];
    }
}

/// Calls f.operator()<R>() with R = n, 1 ≤ n ≤ R of the first call.
template <int R, class F>
void with_rows(int n, F&& f) {
  if constexpr (R > 1)
    if (n < R) return with_rows<R - 1>(n, f);
  f.template operator()<R>();
}

/// Tile `tile` of the forward product: units tile·lanes …, all gates of a unit in the same lane. w[gates, hidden,
/// hidden]; lanes without a unit get 0.
template <int V>
void pack_forward(Index hidden, const float* w, Index tile, float* to) {
  const Index unit = tile * Vec::kLanes, units = hidden - unit;
  for (int v = 0; v < V; ++v)
    for (Index k = 0; k < hidden; k += Vec::kLanes) {
      const int columns = static_cast<int>(hidden - k < Vec::kLanes ? hidden - k : Vec::kLanes);
      Vec square[Vec::kLanes];
      for (int i = 0; i < Vec::kLanes; ++i)
        square[i] = i < units ? load(w + (v * hidden + unit + i) * hidden + k, columns) : Vec::zero();
      transpose(square);
      for (int j = 0; j < columns; ++j) square[j].store(to + ((k + j) * V + v) * Vec::kLanes);
    }
}

/// The same for the product with the slopes of all gates, which gives kBackVectors vectors of units.
constexpr int kBackVectors = 4;
[[maybe_unused]] void pack_backward(Index hidden, Index terms, const float* w, Index tile, float* to) {
  for (Index k = 0; k < terms; ++k)
    for (int v = 0; v < kBackVectors; ++v, to += Vec::kLanes) {
      const Index unit = (tile * kBackVectors + v) * Vec::kLanes, units = hidden - unit;
      const Vec row = units <= 0            ? Vec::zero()
                      : units < Vec::kLanes ? Vec::load_first(w + k * hidden + unit, static_cast<int>(units))
                                            : Vec::load(w + k * hidden + unit);
      row.store(to);
    }
}

}  // namespace
}  // namespace fovea::cpu
