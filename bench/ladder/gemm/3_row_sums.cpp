// SPDX-License-Identifier: Apache-2.0
//
// Rung 3: the widest lanes of the machine, and sums that stay in registers. A strip of one row of c, four vectors wide,
// is summed over all of k before it is stored once: of three accesses for one multiply-add (load b, load c, store c)
// one is left. Four sums side by side hide a multiply-add's latency. b is still read whole for every row of c, and
// from the second-level cache or beyond: that is the limit now.
#include "bench/ladder/gemm/rungs.h"
#include "kernels/cpu/queue.h"
#include "kernels/cpu/vec.h"

namespace fovea::bench::ladder {
namespace {

using cpu::Vec;

/// A strip of `vectors` vectors, the last of which has `last` lanes.
template <int vectors>
void strip(const Matmul& shape, const float* a, const float* b, float* c, int last) {
  Vec sums[vectors] = {};
  for (std::int64_t k = 0; k < shape.k; ++k, b += shape.n) {
    const Vec one = Vec::all(a[k]);
#pragma GCC unroll 4
    for (int v = 0; v < vectors; ++v)
      sums[v] = fma(one, cpu::load(b + v * Vec::kLanes, v + 1 < vectors ? Vec::kLanes : last), sums[v]);
  }
  for (int v = 0; v < vectors; ++v)
    cpu::store(c + v * Vec::kLanes, v + 1 < vectors ? Vec::kLanes : last, sums[v]);
}

}  // namespace

template <class Queue>
void gemm_row_sums(Queue&, const Matmul& shape, const float* a, const float* b, float* c) {
  constexpr std::int64_t kLanes = Vec::kLanes;
  for (std::int64_t i = 0; i < shape.m; ++i)
    for (std::int64_t j = 0; j < shape.n;) {
      const std::int64_t left = shape.n - j;
      const float* const row = a + i * shape.k;
      float* const to = c + i * shape.n + j;
      if (left >= 4 * kLanes) {
        strip<4>(shape, row, b + j, to, Vec::kLanes);
        j += 4 * kLanes;
      } else {
        strip<1>(shape, row, b + j, to, static_cast<int>(left < kLanes ? left : kLanes));
        j += kLanes;
      }
    }
}

template void gemm_row_sums(cpu::Queue&, const Matmul&, const float*, const float*, float*);

}  // namespace fovea::bench::ladder
