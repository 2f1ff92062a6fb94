// SPDX-License-Identifier: Apache-2.0
//
// Rung 1: the definition. Each element of c is a sum over k, and the next addition waits for the one before it: three
// to four cycles for one multiplication, whatever else the core could do. b is read down a column, so each of its
// elements comes with a cache line of which nothing else is used before the line is gone.
#include "bench/ladder/gemm/rungs.h"

namespace fovea::bench::ladder {

void gemm_triple_loop(const Matmul& shape, const float* a, const float* b, float* c) {
  for (std::int64_t i = 0; i < shape.m; ++i)
    for (std::int64_t j = 0; j < shape.n; ++j) {
      float sum = 0.0f;
      for (std::int64_t k = 0; k < shape.k; ++k) sum += a[i * shape.k + k] * b[k * shape.n + j];
      c[i * shape.n + j] = sum;
    }
}

}  // namespace fovea::bench::ladder
