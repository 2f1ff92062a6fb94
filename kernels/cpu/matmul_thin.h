// SPDX-License-Identifier: Apache-2.0
#pragma once

#include "kernels/cpu/counts.h"
#include "kernels/cpu/pool.h"
#include "kernels/cpu/vec.h"
#include "kernels/geometry.h"

/// Matrix products with at most kThin rows or columns, such as the readout of a few neurons from many inputs, and the
/// slopes of its weights. Of the large operand each number is used a few times only, so what counts is to read it
/// once, as it lies in memory: nothing is copied.
///
/// Two forms: the rows of both operands run along k (`dots`, a vector of each row at a time), or the columns of the
/// result run along the rows of b (`combine`, rows of b times numbers of a).
namespace fovea::cpu {
namespace {

constexpr Index kThin = 8;
constexpr int kGroup = Vec::kRegisters >= 32 ? 4 : 2;      // rows that share what is in registers
constexpr int kThinGroup = Vec::kRegisters >= 32 ? 6 : 4;  // thin ones, as dots need them
constexpr Index kAhead = 128;                              // floats; the processor alone begins later

/// c[i·wide_step + j·thin_step] = Σ_l wide[i·k + l]·thin[j·k + l]
struct Dots {
  Index count, thin_count, k;
  const float *wide, *thin;
  float* c;
  Index wide_step, thin_step;
};

/// sums[r·kThin + j] += Σ_l wide[r·k + l]·thin[j·k + l] for l < terms; a chain of its own, which is added at the end.
template <int R, int N>
[[gnu::always_inline]] inline void add_dots(const float* wide, const float* thin, Index k, Index terms,
                                            Vec* sums) {
  Vec sum[R][N] = {};
  const auto add = [&](Index l, int lanes) {
    Vec other[N];
#pragma GCC unroll 6
    for (int j = 0; j < N; ++j) other[j] = load(thin + j * k + l, lanes);
#pragma GCC unroll 6
    for (int r = 0; r < R; ++r) {
      __builtin_prefetch(wide + r * k + l + kAhead);
      const Vec one = load(wide + r * k + l, lanes);
#pragma GCC unroll 6
      for (int j = 0; j < N; ++j) sum[r][j] = fma(one, other[j], sum[r][j]);
    }
  };
  Index l = 0;
  for (; l + Vec::kLanes <= terms; l += Vec::kLanes) add(l, Vec::kLanes);
  if (l < terms) add(l, static_cast<int>(terms - l));
  for (int r = 0; r < R; ++r)
    for (int j = 0; j < N; ++j) sums[r * kThin + j] = sums[r * kThin + j] + sum[r][j];
}

/// Calls f.operator()<n>(first) for pieces of `count` things, n = N of each as long as there are so many.
template <int N = kGroup, class F>
[[gnu::always_inline]] inline void for_groups_of(Index count, const F& f, Index first = 0) {
  for (; first + N <= count; first += N) f.template operator()<N>(first);
  if constexpr (N > 1) for_groups_of<N - 1>(count, f, first);
}

[[maybe_unused]] void dots(Pool& pool, const Dots& d) {
  constexpr Index kMostRows = 32, kParts = 4, kTerms = 2048;  // rows of a part; parts; terms at a time
  const Index rows = most(kGroup, least(kMostRows, blocks_of(d.count, kParts)));
  for_parts(pool, blocks_of(d.count, rows), [&](Index part) {
    const Index first = part * rows, count = least(rows, d.count - first);
    Vec sums[kMostRows * kThin] = {};
    for (Index l = 0; l < d.k; l += kTerms)  // so many of the thin rows stay in the nearest cache
      for_groups_of(count, [&]<int R>(Index r) {
        for_groups_of<kThinGroup>(d.thin_count, [&]<int N>(Index j) {
          add_dots<R, N>(d.wide + (first + r) * d.k + l, d.thin + j * d.k + l, d.k, least(kTerms, d.k - l),
                         &sums[r * kThin + j]);
        });
      });
    for (Index r = 0; r < count; ++r)
      for (Index j = 0; j < d.thin_count; ++j)
        d.c[(first + r) * d.wide_step + j * d.thin_step] = sum(sums[r * kThin + j]);
  });
}

/// c[m, n] = Σ_l a(i, l)·b[l·n + j], m ≤ kThin; a(i, l) = a[i·a_row + l·a_step]
struct Combination {
  Index m, n, k;
  const float *a, *b;
  Index a_row, a_step;
  float* c;
};

[[maybe_unused]] void combine(Pool& pool, const Combination& p) {
  constexpr Index kColumns = 512;  // of a part: their sums stay in the nearest cache
  for_parts(pool, blocks_of(p.n, kColumns), [&](Index part) {
    alignas(64) float sums[kThin][kColumns] = {};
    const Index first = part * kColumns, columns = least(kColumns, p.n - first);
    for_groups_of(p.k, [&]<int L>(Index l) {
      const float* const rows = p.b + l * p.n + first;
      for_groups_of(p.m, [&]<int M>(Index i) {
        Vec numbers[M][L];
        for (int m = 0; m < M; ++m)
          for (int t = 0; t < L; ++t) numbers[m][t] = Vec::all(p.a[(i + m) * p.a_row + (l + t) * p.a_step]);
        const auto add = [&](Index j, int lanes) {
          Vec row[L];
#pragma GCC unroll 4
          for (int t = 0; t < L; ++t) {
            __builtin_prefetch(rows + (t + L) * p.n + j);  // far from here: the processor does not foresee it
            row[t] = load(rows + t * p.n + j, lanes);
          }
#pragma GCC unroll 4
          for (int m = 0; m < M; ++m) {
            float* const to = &sums[i + m][j];
            Vec sum = row[0] * numbers[m][0];
#pragma GCC unroll 4
            for (int t = 1; t < L; ++t) sum = fma(row[t], numbers[m][t], sum);
            (Vec::load(to) + sum).store(to);
          }
        };
        Index j = 0;
        for (; j + Vec::kLanes <= columns; j += Vec::kLanes) add(j, Vec::kLanes);
        if (j < columns) add(j, static_cast<int>(columns - j));
      });
    });
    for (Index i = 0; i < p.m; ++i)
      for (Index j = 0; j < columns; j += Vec::kLanes)
        store(p.c + i * p.n + first + j, static_cast<int>(least(Vec::kLanes, columns - j)),
              Vec::load(&sums[i][j]));
  });
}

/// Whether the product is thin and lies so that one of the two forms serves; then it is computed.
[[maybe_unused]] bool multiply_thin(Pool& pool, const Matmul& s, const float* a, const float* b, float* c) {
  constexpr Index kLeastProducts = 1 << 16, kMostTerms = 1024;  // of one chain of sums
  if (s.m * s.n * s.k < kLeastProducts) return false;
  if (!s.transpose_a && s.transpose_b && (s.n <= kThin || s.m <= kThin)) {
    const bool thin_b = s.n <= kThin;
    dots(pool, {.count = thin_b ? s.m : s.n,
                .thin_count = thin_b ? s.n : s.m,
                .k = s.k,
                .wide = thin_b ? a : b,
                .thin = thin_b ? b : a,
                .c = c,
                .wide_step = thin_b ? s.n : 1,
                .thin_step = thin_b ? 1 : s.n});
    return true;
  }
  if (s.transpose_b || s.m > kThin || s.k > kMostTerms) return false;
  combine(pool, {.m = s.m,
                 .n = s.n,
                 .k = s.k,
                 .a = a,
                 .b = b,
                 .a_row = s.transpose_a ? 1 : s.k,
                 .a_step = s.transpose_a ? s.m : 1,
                 .c = c});
  return true;
}

}  // namespace
}  // namespace fovea::cpu
