// SPDX-License-Identifier: Apache-2.0
#pragma once

#include "kernels/cpu/counts.h"
#include "kernels/cpu/vec.h"

/// The inner loop that matrix products and the convolutions with many output channels share: P numbers times V
/// vectors, P·V sums in registers. With 32 registers P = 14 and V = 2: 28 sums, two vectors, a number; a step is
/// 16 loads for 28 multiply-adds, so the multipliers are the limit, not the loads. Each number is broadcast
/// once and used V times, each vector P times.
namespace fovea::cpu {
namespace {

/// Numbers of a step, at most, and the vectors they meet.
constexpr int kNumbers = Vec::kRegisters >= 32 ? 14 : Vec::kLanes == 8 ? 6 : 4;
constexpr int kVectors = 2;
constexpr Index kPanel = kVectors * Vec::kLanes;  // floats of a step's vectors

/// Keeps the compiler from folding the load of a vector into each of its uses: three loads for one.
[[gnu::always_inline]] inline void keep_in_register([[maybe_unused]] Vec& x) {
#if defined(__AVX2__)
  asm("" : "+v"(x.v));
#endif
}

/// sums[p][v] += Σ_i a[i·a_step + p]·b[i·b_step + v·kLanes …], for `count` values of i.
template <int P, int V>
[[gnu::always_inline]] inline void add_outer(Vec (&sums)[P][V], const float* a, Index a_step, const float* b,
                                             Index b_step, Index count) {
  for (; count > 0; --count, a += a_step, b += b_step) {
    Vec row[V];
#pragma GCC unroll 2
    for (int v = 0; v < V; ++v) row[v] = Vec::load(b + v * Vec::kLanes);
#pragma GCC unroll 14
    for (int p = 0; p < P; ++p) {
      Vec one = Vec::all(a[p]);
      if constexpr (V > 1) keep_in_register(one);
#pragma GCC unroll 2
      for (int v = 0; v < V; ++v) sums[p][v] = fma(row[v], one, sums[p][v]);
    }
  }
}

/// Calls f.operator()<P>() with P = numbers, 1 ≤ numbers ≤ P of the first call.
template <int P = kNumbers, class F>
void with_numbers(int numbers, const F& f) {
  if constexpr (P > 1)
    if (numbers < P) return with_numbers<P - 1>(numbers, f);
  f.template operator()<P>();
}

}  // namespace
}  // namespace fovea::cpu
