// SPDX-License-Identifier: Apache-2.0
#include "kernels/ops/matmul.h"

#include "kernels/cpu/matmul_tile.h"
#include "kernels/cpu/queue.h"

/// The result is cut into tiles by its shape alone; each is one call of a single-threaded BLAS.
namespace fovea::cpu {
namespace {

template <class T>
void product(Pool& pool, const Matmul& shape, const T* a, const T* b, T* c) {
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
    const Block<const T> from_a =
        shape.transpose_a ? Block<const T>{a + i, k, rows, m} : Block<const T>{a + i * k, rows, k, k};
    const Block<const T> from_b =
        shape.transpose_b ? Block<const T>{b + j * k, columns, k, k} : Block<const T>{b + j, k, columns, n};
    multiply_tile(shape.transpose_a, from_a, shape.transpose_b, from_b, false,
                  Block<T>{to, rows, columns, n});
  });
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
