// SPDX-License-Identifier: Apache-2.0
#include "kernels/ops/matmul.h"

#include "kernels/cpu/matmul_block.h"
#include "kernels/cpu/matmul_thin.h"
#include "kernels/cpu/matmul_tile.h"
#include "kernels/cpu/queue.h"

/// The result is cut into parts by its shape alone. Large products in single precision are our own; small ones, thin
/// ones and those in double precision are calls of a single-threaded BLAS, one per part.
namespace fovea::cpu {
namespace {

/// Whether packing pays: below, BLAS has kernels that read both operands as they lie in memory.
bool is_large(const Matmul& shape) {
  constexpr Index kLeastProducts = 1 << 20, kLeastRows = 8, kLeastColumns = 16;
  return shape.m >= kLeastRows && shape.n >= kLeastColumns && shape.k > 0 &&
         shape.m * shape.n * shape.k > kLeastProducts;
}

/// Each part copies the columns of b that it needs, so there are no more parts than threads may want. The rows of a
/// are copied once for all, unless only one part needs them.
void multiply_large(Pool& pool, const Matmul& shape, const float* a, const float* b, float* c) {
  constexpr Index kPartTiles = 37, kLeastTiles = 9, kEnoughParts = 4;  // tiles of rows: some 500, some 120
  const Index tiles = row_tiles(shape.m);
  const Index panels = blocks_of(shape.n, kPanel), across = blocks_of(shape.n, kBlockColumns);
  const Index down =
      most(blocks_of(tiles, kPartTiles), least(blocks_of(kEnoughParts, across), tiles / kLeastTiles));
  const Stored rows{a, shape.transpose_a ? shape.m : shape.k, shape.transpose_a};
  const Stored columns{b, shape.transpose_b ? shape.k : shape.n, shape.transpose_b};
  const Scratch<float> packed(pool, across > 1 ? tiles * row_tile_pitch(shape.k) : 0, "matmul");
  if (across > 1)
    for_parts(pool, tiles, [&](Index tile) { pack_rows(rows, shape.m, shape.k, tile, packed.data()); });
  for_parts(pool, down * across, [&](Index part) {
    const Index i = part / across, j = part % across;
    const Index first = cut(panels, across, j) * kPanel,
                end = least(shape.n, cut(panels, across, j + 1) * kPanel);
    multiply_block({.rows = shape.m,
                    .columns = end - first,
                    .depth = shape.k,
                    .first_tile = cut(tiles, down, i),
                    .end_tile = cut(tiles, down, i + 1),
                    .a = rows,
                    .b = {columns.at(0, first), columns.pitch, columns.transposed},
                    .packed_a = across > 1 ? packed.data() : nullptr,
                    .c = c + first,
                    .pitch = shape.n,
                    .add = false,
                    .bias = nullptr});
  });
}

template <class T>
void product_by_blas(Pool& pool, const Matmul& shape, const T* a, const T* b, T* c) {
  const std::int64_t m = shape.m, n = shape.n, k = shape.k;
  const std::int64_t tiles_n = (n + kTileN - 1) / kTileN, tiles = (m + kTileM - 1) / kTileM * tiles_n;
  for_parts(pool, tiles, [&](std::int64_t part) {
    const std::int64_t i = part / tiles_n * kTileM, j = part % tiles_n * kTileN;
    const std::int64_t rows = m - i < kTileM ? m - i : kTileM, columns = n - j < kTileN ? n - j : kTileN;
    T* const to = c + i * n + j;
    if (k == 0) {
      for (std::int64_t r = 0; r < rows; ++r)
        for (std::int64_t s = 0; s < columns; ++s) to[r * n + s] = T(0);
      return;
    }
    const Tile<const T> from_a =
        shape.transpose_a ? Tile<const T>{a + i, k, rows, m} : Tile<const T>{a + i * k, rows, k, k};
    const Tile<const T> from_b =
        shape.transpose_b ? Tile<const T>{b + j * k, columns, k, k} : Tile<const T>{b + j, k, columns, n};
    multiply_tile(shape.transpose_a, from_a, shape.transpose_b, from_b, Tile<T>{to, rows, columns, n});
  });
}

void product(Pool& pool, const Matmul& shape, const double* a, const double* b, double* c) {
  product_by_blas(pool, shape, a, b, c);
}
void product(Pool& pool, const Matmul& shape, const float* a, const float* b, float* c) {
  if (multiply_thin(pool, shape, a, b, c)) return;
  if (is_large(shape)) return multiply_large(pool, shape, a, b, c);
  product_by_blas(pool, shape, a, b, c);
}

}  // namespace
}  // namespace fovea::cpu

namespace fovea::kernels {

void matmul(cpu::Queue& q, const Matmul& shape, DType dtype, const void* a, const void* b, void* c) {
  if (dtype == DType::f64)
    cpu::product(q, shape, static_cast<const double*>(a), static_cast<const double*>(b),
                 static_cast<double*>(c));
  else
    cpu::product(q, shape, static_cast<const float*>(a), static_cast<const float*>(b),
                 static_cast<float*>(c));
}

}  // namespace fovea::kernels
