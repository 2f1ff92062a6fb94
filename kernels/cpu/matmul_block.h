// SPDX-License-Identifier: Apache-2.0
#pragma once

#include "kernels/cpu/outer_tile.h"
#include "kernels/cpu/transpose.h"

/// A block of a matrix product in single precision, on one thread. Both operands are copied into the order in
/// which the inner loop reads them: b a chunk of kDepth terms at a time, as panels [term][kPanel columns] that
/// stay in the second-level cache, a as [term][up to kNumbers rows], which stay in the first.
///
/// A chain of sums ends after kDepth terms and is added to the result: Note [Short runs] in
/// kernels/cpu/conv2d_tile.h.
namespace fovea::cpu {
namespace {

/// A matrix as it is stored, row-major, `pitch` floats from one row to the next; `transposed`: as its transpose.
struct Stored {
  const float* data;
  Index pitch;
  bool transposed;
  /// From element (i, j) on.
  const float* at(Index i, Index j) const { return data + (transposed ? j * pitch + i : i * pitch + j); }
};

constexpr Index kBlockColumns = 256;  // of a call, at most
constexpr Index kDepth = 256;

/// The rows of a come in tiles of up to kNumbers, as equal as can be.
constexpr Index row_tiles(Index rows) { return blocks_of(rows, kNumbers); }
/// Floats from one packed tile of rows to the next: whole vectors are written behind the last term.
constexpr Index row_tile_pitch(Index depth) { return kNumbers * depth + Vec::kLanes; }

/// c[rows, columns] = a[rows, depth]·b[depth, columns] + what c holds (`add`), or bias[row] unless null; of the rows,
/// those of some tiles.
struct Block {
  Index rows, columns, depth;  // ≥ 1
  Index first_tile, end_tile;  // of the rows
  Stored a, b;
  const float* packed_a;  // by pack_rows, or null
  float* c;
  Index pitch;
  bool add;
  const float* bias;
};

/// to[i·step + j] = from[j·pitch + i] for `lines` values of j ≤ kLanes and `count` of i. Whole vectors are written,
/// the lanes beyond `lines` with zeros.
[[maybe_unused]] void pack_across(const float* from, Index pitch, Index lines, Index count, float* to,
                                  Index step) {
  constexpr Index kLanes = Vec::kLanes;
  Vec square[kLanes];
  Index i = 0;
  for (; i + kLanes <= count; i += kLanes) {
    load_square(from + i, pitch, lines, kLanes, square);
#pragma GCC unroll 16
    for (Index j = 0; j < kLanes; ++j) square[j].store(to + (i + j) * step);
  }
  if (i == count) return;
  load_square(from + i, pitch, lines, count - i, square);
  for (Index j = 0; i + j < count; ++j) square[j].store(to + (i + j) * step);
}

/// to[i·step + j] = from[i·pitch + j] for `count` values of i and `width` ≤ kPanel of j; whole vectors are written.
void pack_along(const float* from, Index pitch, Index width, Index count, float* to, Index step) {
  for (Index i = 0; i < count; ++i)
    for (Index j = 0; j < width; j += Vec::kLanes)
      load(from + i * pitch + j, static_cast<int>(least(Vec::kLanes, width - j))).store(to + i * step + j);
}

/// `width` ≤ kPanel rows of a (columns of b) that start at element (i, j) of m, for `count` terms: [term][step]. Up
/// to a vector behind the last term is overwritten.
[[maybe_unused]] void pack_panel(const float* from, Index pitch, bool across, Index width, Index count,
                                 float* to, Index step) {
  static_assert(kNumbers <= Vec::kLanes);
  if (!across) return pack_along(from, pitch, width, count, to, step);
  for (Index j = 0; j < width; j += Vec::kLanes)
    pack_across(from + j * pitch, pitch, least(Vec::kLanes, width - j), count, to + j, step);
}

/// One tile: P rows, up to kPanel columns of packed operands, added to what the result is to start from.
template <int P, int V>
void multiply_panel(const Block& block, const float* a, const float* b, Index depth, Index row, Index column,
                    bool first) {
  Vec sums[P][V] = {};
  add_outer(sums, a, P, b, kPanel, depth);
  const Index width = block.columns - column;
#pragma GCC unroll 14
  for (int p = 0; p < P; ++p) {
    float* const to = block.c + (row + p) * block.pitch + column;
#pragma GCC unroll 2
    for (int v = 0; v < V; ++v) {
      const int lanes = static_cast<int>(least(Vec::kLanes, width - v * Vec::kLanes));
      if (!first || block.add)
        sums[p][v] = load(to + v * Vec::kLanes, lanes) + sums[p][v];
      else if (block.bias != nullptr)
        sums[p][v] = Vec::all(block.bias[row + p]) + sums[p][v];
      store(to + v * Vec::kLanes, lanes, sums[p][v]);
    }
  }
}

/// Tile `tile` of the rows of a, all terms.
[[maybe_unused]] void pack_rows(const Stored& a, Index rows, Index depth, Index tile, float* to) {
  const Index row = cut(rows, row_tiles(rows), tile), end = cut(rows, row_tiles(rows), tile + 1);
  pack_panel(a.at(row, 0), a.pitch, !a.transposed, end - row, depth, to + tile * row_tile_pitch(depth),
             end - row);
}

/// A chunk of b as panels, each [term][kPanel].
void pack_columns(const Stored& b, Index columns, Index k, Index depth, float* to) {
  if (b.transposed) {
    for (Index j = 0; j < columns; j += kPanel)
      pack_panel(b.at(k, j), b.pitch, true, least(kPanel, columns - j), depth, to + j * depth, kPanel);
    return;
  }
  for (Index i = 0; i < depth; ++i)  // a row after the other, as they lie in memory
    for (Index j = 0; j < columns; j += kPanel)
      pack_panel(b.at(k + i, j), 0, false, least(kPanel, columns - j), 1, to + j * depth + i * kPanel,
                 kPanel);
}

[[maybe_unused]] void multiply_block(const Block& block) {
  alignas(64) float packed_b[kDepth * kBlockColumns];
  alignas(64) float packed_a[kDepth * kNumbers + Vec::kLanes];
  const Index tiles = row_tiles(block.rows), chunks = blocks_of(block.depth, kDepth);
  for (Index chunk = 0; chunk < chunks; ++chunk) {
    const Index k = cut(block.depth, chunks, chunk), depth = cut(block.depth, chunks, chunk + 1) - k;
    pack_columns(block.b, block.columns, k, depth, packed_b);
    for (Index tile = block.first_tile; tile < block.end_tile; ++tile) {
      const Index row = cut(block.rows, tiles, tile);
      const int rows = static_cast<int>(cut(block.rows, tiles, tile + 1) - row);
      const float* a = packed_a;
      if (block.packed_a != nullptr)
        a = block.packed_a + tile * row_tile_pitch(block.depth) + k * rows;
      else
        pack_panel(block.a.at(row, k), block.a.pitch, !block.a.transposed, rows, depth, packed_a, rows);
      with_numbers(rows, [&]<int P>() {
        for (Index j = 0; j < block.columns; j += kPanel) {
          const float* const b = packed_b + j * depth;
          if (block.columns - j > Vec::kLanes)
            multiply_panel<P, kVectors>(block, a, b, depth, row, j, chunk == 0);
          else
            multiply_panel<P, 1>(block, a, b, depth, row, j, chunk == 0);
        }
      });
    }
  }
}

}  // namespace
}  // namespace fovea::cpu
