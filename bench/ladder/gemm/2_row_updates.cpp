// SPDX-License-Identifier: Apache-2.0
//
// Rung 2: the two inner loops change places, and the rows are declared not to overlap. Now the innermost loop walks
// along a row of b and a row of c, its iterations do not wait for each other, and the compiler may take several at once
// with the instructions that every machine has (four lanes on x86-64). Each step still loads and stores a piece of c
// for one multiplication: the limit is the traffic to the first-level cache.
#include "bench/ladder/gemm/rungs.h"

namespace fovea::bench::ladder {
namespace {

/// to[0..n) += factor·from[0..n)
void add_row(std::int64_t n, float factor, const float* __restrict from, float* __restrict to) {
  for (std::int64_t j = 0; j < n; ++j) to[j] += factor * from[j];
}

}  // namespace

void gemm_row_updates(const Matmul& shape, const float* a, const float* b, float* c) {
  for (std::int64_t i = 0; i < shape.m; ++i) {
    float* const row = c + i * shape.n;
    for (std::int64_t j = 0; j < shape.n; ++j) row[j] = 0.0f;
    for (std::int64_t k = 0; k < shape.k; ++k) add_row(shape.n, a[i * shape.k + k], b + k * shape.n, row);
  }
}

}  // namespace fovea::bench::ladder
