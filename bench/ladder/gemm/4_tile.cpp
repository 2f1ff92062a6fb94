// SPDX-License-Identifier: Apache-2.0
//
// Rung 4: a tile of c, eight rows by three vectors, stays in registers. A vector of b is now used eight times and a
// broadcast of a three times: 11 loads for 24 multiply-adds, so the multiplier is the limit and no longer the loads;
// and b is read once for eight rows instead of once for each. 24 sums are far more than latency asks for; the point
// is reuse.
#include "bench/ladder/gemm/rungs.h"
#include "bench/ladder/gemm/tile.h"
#include "kernels/cpu/queue.h"

namespace fovea::bench::ladder {
namespace {

template <int rows>
void row_of_tiles(const Matmul& shape, const float* a, const float* b, float* c) {
  for (std::int64_t j = 0; j < shape.n; j += kTileColumns) {
    const std::int64_t columns = shape.n - j;
    if (columns >= kTileColumns)
      multiply<rows, true>(shape.k, a, shape.k, 1, b + j, shape.n, c + j, shape.n, columns, false);
    else
      multiply<rows, false>(shape.k, a, shape.k, 1, b + j, shape.n, c + j, shape.n, columns, false);
  }
}

}  // namespace

template <class Queue>
void gemm_tile(Queue&, const Matmul& shape, const float* a, const float* b, float* c) {
  std::int64_t i = 0;
  for (; i + kTileRows <= shape.m; i += kTileRows)
    row_of_tiles<kTileRows>(shape, a + i * shape.k, b, c + i * shape.n);
  for (; i < shape.m; ++i) row_of_tiles<1>(shape, a + i * shape.k, b, c + i * shape.n);
}

template void gemm_tile(cpu::Queue&, const Matmul&, const float*, const float*, float*);

}  // namespace fovea::bench::ladder
