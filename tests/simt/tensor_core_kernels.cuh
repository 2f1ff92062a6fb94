// SPDX-License-Identifier: Apache-2.0
#pragma once

#include "kernels/cuda/async_copy.cuh"
#include "kernels/cuda/mma.cuh"
#include "kernels/dtype.h"

/// One kernel for each wrapped instruction, and a product that uses them together. The emulation runs them
/// (tensor_cores.cpp, async_copies.cpp), nvcc compiles them (tensor_cores.sh).
namespace fovea::test {

/// d = c + a·b of one warp, the registers given and taken as they are: a [32][4], b [32][2], c and d [32][4].
enum class Mma { tf32, bf16, f16 };
template <Mma kMma>
__global__ void mma_kernel(const unsigned* a, const unsigned* b, const float* c, float* d) {
  const unsigned lane = threadIdx.x;
  const unsigned mine_a[4] = {a[lane * 4], a[lane * 4 + 1], a[lane * 4 + 2], a[lane * 4 + 3]};
  const unsigned mine_b[2] = {b[lane * 2], b[lane * 2 + 1]};
  float mine_d[4] = {c[lane * 4], c[lane * 4 + 1], c[lane * 4 + 2], c[lane * 4 + 3]};
  if (kMma == Mma::tf32) gpu::mma_tf32(mine_d, mine_a, mine_b);
  if (kMma == Mma::bf16) gpu::mma_bf16(mine_d, mine_a, mine_b);
  if (kMma == Mma::f16) gpu::mma_f16(mine_d, mine_a, mine_b);
  for (unsigned i = 0; i < 4; ++i) d[lane * 4 + i] = mine_d[i];
}

/// N matrices of 8x8 numbers in rows of `pitch` numbers, one below the other; r [32][N].
template <int N, bool kTranspose>
__global__ void load_matrices_kernel(int pitch, const std::uint16_t* x, unsigned* r) {
  FOVEA_SHARED(std::uint16_t, tile, [32 * 24]);
  const int lane = static_cast<int>(threadIdx.x);
  for (int i = lane; i < 8 * N * pitch; i += 32) tile[i] = x[i];
  __syncthreads();
  unsigned mine[N];
  gpu::load_matrices<N, kTranspose>(mine, tile + lane % (8 * N) * pitch);
  for (int i = 0; i < N; ++i) r[lane * N + i] = mine[i];
}

/// y = x through shared memory; `valid` of each kBytes are copied, the rest are zeros.
template <int kBytes>
__global__ void async_copy_kernel(int valid, const unsigned char* x, unsigned char* y) {
  FOVEA_DYNAMIC_SHARED(unsigned char, row);
  const int first = static_cast<int>(threadIdx.x) * kBytes;
  gpu::async_copy<kBytes>(row + first, x + first, valid);
  gpu::async_commit();
  gpu::async_wait<0>();
  for (int i = 0; i < kBytes; ++i) y[first + i] = row[first + i];
}

/// Mistakes that can be planted in the product below.
enum class Slip { none, no_wait, no_barrier, late_wait, early_copy, misaligned };

/// c[m][n] = a[m][k]·b[k][n] in bf16 with sums in f32; k and n are multiples of 8, the matrices aligned to 16 bytes.
///
/// A block of four warps makes 32 x 32 of c, each warp 16 x 16. Steps of 16 along k come in two buffers, so that one
/// is on its way while the other is multiplied. Rows of the tiles are padded by 16 bytes: eight rows that ldmatrix
/// reads at once then lie in different banks.
template <Slip kSlip = Slip::none>
__global__ void __launch_bounds__(128)
    product_kernel(int m, int n, int k, const bf16* a, const bf16* b, float* c) {
  constexpr int kTile = 32, kStep = 16, kPitchA = kStep + 8, kPitchB = kTile + 8;
  FOVEA_SHARED(bf16, tile_a, [2][kTile][kPitchA]);
  FOVEA_SHARED(bf16, tile_b, [2][kStep][kPitchB]);
  const int thread = static_cast<int>(threadIdx.x), lane = thread % 32, warp = thread / 32;
  const int top = static_cast<int>(blockIdx.y) * kTile, left = static_cast<int>(blockIdx.x) * kTile;
  const int warp_top = warp / 2 * 16, warp_left = warp % 2 * 16;

  // 16 bytes a thread: half of the threads bring a, the other half b.
  const auto fetch = [&](int step, int buffer) {
    const bool first = thread < 64;
    const int i = first ? thread : thread - 64;
    const int row = first ? top + i / 2 : step * kStep + i / 4;
    const int column = first ? step * kStep + i % 2 * 8 : left + i % 4 * 8;
    const bool inside = first ? row < m && column < k : row < k && column < n;
    const bf16* const from = first ? a + row * k + column : b + row * n + column;
    bf16* const to = first ? &tile_a[buffer][i / 2][i % 2 * 8] : &tile_b[buffer][i / 4][i % 4 * 8];
    gpu::async_copy<16>(to, inside ? from : a, inside ? 16 : 0);
  };

  float sums[2][4] = {};
  const int steps = (k + kStep - 1) / kStep;
  fetch(0, 0);
  gpu::async_commit();
  for (int step = 0; step < steps; ++step) {
    const int buffer = step % 2;
    if (kSlip == Slip::early_copy && step + 1 < steps) fetch(step + 1, buffer);
    if (kSlip != Slip::early_copy && step + 1 < steps) fetch(step + 1, 1 - buffer);
    gpu::async_commit();
    if (kSlip != Slip::no_wait) gpu::async_wait<kSlip == Slip::late_wait ? 2 : 1>();
    if (kSlip != Slip::no_barrier) __syncthreads();
    unsigned in_a[4], in_b[2][2], four[4];
    const int skew = kSlip == Slip::misaligned ? 4 : 0;
    gpu::load_matrices<4>(in_a, &tile_a[buffer][warp_top + lane % 16][lane / 16 * 8 + skew]);
    gpu::load_matrices<4, true>(four, &tile_b[buffer][lane % 16][warp_left + lane / 16 * 8]);
    for (int i = 0; i < 4; ++i) in_b[i / 2][i % 2] = four[i];
    for (int half = 0; half < 2; ++half) gpu::mma_bf16(sums[half], in_a, in_b[half]);
    __syncthreads();  // the next copy overwrites what was read here
  }
  gpu::async_wait<0>();
  for (int half = 0; half < 2; ++half)
    for (int i = 0; i < 4; ++i) {
      const int row = top + warp_top + lane / 4 + i / 2 * 8;
      const int column = left + warp_left + half * 8 + lane % 4 * 2 + i % 2;
      if (row < m && column < n) c[row * n + column] = sums[half][i];
    }
}

}  // namespace fovea::test
