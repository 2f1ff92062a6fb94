// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstdint>

#include "kernels/cpu/vec.h"

/// What rungs 4 and 5 of the multiplication share: the tile that stays in registers.
namespace fovea::bench::ladder {
namespace {

using cpu::Vec;

constexpr int kTileVectors = 3;
/// 8·3 sums, three vectors of b and one broadcast of a: 28 of 32 registers; 4·3 where there are 16.
constexpr int kTileRows = Vec::kRegisters == 32 ? 8 : 4;
constexpr std::int64_t kTileColumns = std::int64_t{kTileVectors} * Vec::kLanes;

/// Columns of a tile that there are, by vector: `whole` means all of them.
template <bool whole>
struct Columns {
  std::int64_t count;
  int lanes(int v) const {
    if (whole) return Vec::kLanes;
    const std::int64_t left = count - std::int64_t{v} * Vec::kLanes;
    return static_cast<int>(left < 0 ? 0 : left < Vec::kLanes ? left : Vec::kLanes);
  }
};

/// c[rows][columns] (+)= Σ_k a[k·a_step + r·a_row]·b[k·b_step + j]
template <int rows, bool whole>
void multiply(std::int64_t k, const float* a, std::int64_t a_row, std::int64_t a_step, const float* b,
              std::int64_t b_step, float* c, std::int64_t c_row, std::int64_t columns, bool add) {
  const Columns<whole> width{columns};
  Vec sums[rows][kTileVectors] = {};
  for (std::int64_t i = 0; i < k; ++i, a += a_step, b += b_step) {
    Vec from[kTileVectors];
#pragma GCC unroll 3
    for (int v = 0; v < kTileVectors; ++v) from[v] = cpu::load(b + v * Vec::kLanes, width.lanes(v));
#pragma GCC unroll 8
    for (int r = 0; r < rows; ++r) {
      const Vec one = Vec::all(a[r * a_row]);
#pragma GCC unroll 3
      for (int v = 0; v < kTileVectors; ++v) sums[r][v] = fma(one, from[v], sums[r][v]);
    }
  }
#pragma GCC unroll 8
  for (int r = 0; r < rows; ++r)
#pragma GCC unroll 3
    for (int v = 0; v < kTileVectors; ++v) {
      float* const to = c + r * c_row + v * Vec::kLanes;
      const int lanes = width.lanes(v);
      cpu::store(to, lanes, add ? cpu::load(to, lanes) + sums[r][v] : sums[r][v]);
    }
}

}  // namespace
}  // namespace fovea::bench::ladder
