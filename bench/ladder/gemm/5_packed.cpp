// SPDX-License-Identifier: Apache-2.0
//
// Rung 5: the operands are copied into the order in which the tile reads them, in blocks that fit the caches. 128 steps
// of a column of tiles of b are 24 KB and stay in the first level while all rows of a pass; the same steps of 1024 rows
// of a are 512 KB and stay in the second. The copy costs one pass over each operand; what it saves are the loads that
// missed the first level, and pages: a row of b lies a page away from the next. An edge of the matrix is filled with
// zeros in the copy, so the tile has no case of its own for it but the store.
#include "bench/ladder/gemm/rungs.h"
#include "bench/ladder/gemm/tile.h"
#include "kernels/cpu/pool.h"
#include "kernels/cpu/queue.h"

namespace fovea::bench::ladder {
namespace {

constexpr std::int64_t kSteps = 128, kRows = 1024;
static_assert(kRows % kTileRows == 0);

std::int64_t least(std::int64_t a, std::int64_t b) { return a < b ? a : b; }

/// [row of tiles][k][row in the tile]
void pack_a(const Matmul& shape, const float* a, std::int64_t rows, std::int64_t steps, float* to) {
  for (std::int64_t tile = 0; tile < rows; tile += kTileRows, to += kTileRows * steps)
    for (std::int64_t r = 0; r < kTileRows; ++r)
      for (std::int64_t k = 0; k < steps; ++k)
        to[k * kTileRows + r] = tile + r < rows ? a[(tile + r) * shape.k + k] : 0.0f;
}

/// [k][column in the tile]
void pack_b(const Matmul& shape, const float* b, std::int64_t columns, std::int64_t steps, float* to) {
  for (std::int64_t k = 0; k < steps; ++k, b += shape.n)
    for (int v = 0; v < kTileVectors; ++v, to += Vec::kLanes) {
      const std::int64_t left = columns - std::int64_t{v} * Vec::kLanes;
      const int lanes = static_cast<int>(left < 0 ? 0 : least(left, Vec::kLanes));
      cpu::load(b + v * Vec::kLanes, lanes).store(to);
    }
}

}  // namespace

template <class Queue>
void gemm_packed(Queue& queue, const Matmul& shape, const float* a, const float* b, float* c) {
  Scratch<float> packed_a(queue, kRows * kSteps, "ladder"), packed_b(queue, kTileColumns * kSteps, "ladder"),
      edge(queue, kTileRows * kTileColumns, "ladder");
  if (shape.k == 0)
    for (std::int64_t i = 0; i < shape.m * shape.n; ++i) c[i] = 0.0f;
  for (std::int64_t k = 0; k < shape.k; k += kSteps)
    for (std::int64_t i = 0; i < shape.m; i += kRows) {
      const std::int64_t steps = least(kSteps, shape.k - k), rows = least(kRows, shape.m - i);
      pack_a(shape, a + i * shape.k + k, rows, steps, packed_a.data());
      for (std::int64_t j = 0; j < shape.n; j += kTileColumns) {
        const std::int64_t columns = least(kTileColumns, shape.n - j);
        pack_b(shape, b + k * shape.n + j, columns, steps, packed_b.data());
        for (std::int64_t r = 0; r < rows; r += kTileRows) {
          float* const to = c + (i + r) * shape.n + j;
          const float* const tile = packed_a.data() + r * steps;
          if (columns == kTileColumns && r + kTileRows <= rows) {
            multiply<kTileRows, true>(steps, tile, 1, kTileRows, packed_b.data(), kTileColumns, to, shape.n,
                                      kTileColumns, k > 0);
            continue;
          }
          multiply<kTileRows, true>(steps, tile, 1, kTileRows, packed_b.data(), kTileColumns, edge.data(),
                                    kTileColumns, kTileColumns, false);
          for (std::int64_t p = 0; p < least(kTileRows, rows - r); ++p)
            for (std::int64_t q = 0; q < columns; ++q) {
              const float sum = edge.data()[p * kTileColumns + q];
              to[p * shape.n + q] = k > 0 ? to[p * shape.n + q] + sum : sum;
            }
        }
      }
    }
}

template void gemm_packed(cpu::Queue&, const Matmul&, const float*, const float*, float*);

}  // namespace fovea::bench::ladder
