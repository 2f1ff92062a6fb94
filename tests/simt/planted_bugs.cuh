// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstdint>

#include "kernels/cuda/access.cuh"
#include "kernels/cuda/block.cuh"

/// Kernels with one mistake each: what the emulation is for. Each compiles without a warning and would often
/// give the right answer on a GPU.
namespace fovea::planted {

/// gpu::block_reduce, with either of its two barriers left out.
template <bool kFirstBarrier, bool kSecondBarrier>
__device__ float block_sum(float value, float* scratch) {
  const int rank = gpu::thread_rank();
  value = gpu::warp_reduce(value, gpu::Add{});
  if (rank % 32 == 0) scratch[rank / 32] = value;
  if (kFirstBarrier) __syncthreads();
  float total = 0.0f;
  for (int w = 0; w < gpu::block_threads() / 32; ++w) total += scratch[w];
  if (kSecondBarrier) __syncthreads();
  return total;
}

template <bool kFirstBarrier, bool kSecondBarrier>
__global__ void two_sums_kernel(float* out) {
  FOVEA_SHARED(float, scratch, [32]);
  const float ones = block_sum<kFirstBarrier, kSecondBarrier>(1.0f, scratch);
  const float twos = block_sum<kFirstBarrier, kSecondBarrier>(2.0f, scratch);
  out[threadIdx.x] = ones + 10000.0f * twos;
}

/// The guard lets threads past the end leave, and the others wait for them.
__global__ inline void early_return_kernel(int n, float* out) {
  FOVEA_SHARED(float, tile, [64]);
  if (static_cast<int>(threadIdx.x) >= n) return;
  tile[threadIdx.x] = 1.0f;
  __syncthreads();
  out[threadIdx.x] = tile[threadIdx.x];
}

__global__ inline void barrier_in_branch_kernel(float* out) {
  if (threadIdx.x < 32) {
    __syncthreads();
  } else {
    out[threadIdx.x] = 1.0f;
    __syncthreads();
  }
}

__global__ inline void shuffle_in_branch_kernel(float* out) {
  float v = 1.0f;
  if (threadIdx.x % 2 == 0) v = __shfl_xor_sync(0xffffffffu, v, 2);
  out[threadIdx.x] = v;
}

__global__ inline void shuffle_against_barrier_kernel(float* out) {
  float v = 1.0f;
  if (threadIdx.x == 5) __syncthreads();
  v = __shfl_xor_sync(0xffffffffu, v, 1);
  if (threadIdx.x != 5) __syncthreads();
  out[threadIdx.x] = v;
}

__global__ inline void foreign_mask_kernel(float* out) {
  out[threadIdx.x] = __shfl_sync(0x0000ffffu, 1.0f, 0);
}

/// The last column of the tile is never written when the width is odd.
__global__ inline void unwritten_kernel(int width, float* out) {
  FOVEA_SHARED(float, tile, [32]);
  if (static_cast<int>(threadIdx.x) < width - width % 2) tile[threadIdx.x] = 1.0f;
  __syncthreads();
  float sum = 0.0f;
  for (int i = 0; i < width; ++i) sum += tile[i];
  out[threadIdx.x] = sum;
}

/// The same mistake where a NaN does not survive: integer flags.
__global__ inline void unwritten_flag_kernel(int width, int* out) {
  FOVEA_SHARED(int, seen, [32]);
  if (static_cast<int>(threadIdx.x) < width - width % 2) seen[threadIdx.x] = 0;
  __syncthreads();
  int any = 0;
  for (int i = 0; i < width; ++i) any |= seen[i] != 0 ? 1 : 0;
  out[threadIdx.x] = any;
}

__global__ inline void shared_overrun_kernel(int last, float* out) {
  FOVEA_SHARED(float, tile, [32]);
  float* const cell = tile;
  for (int i = 0; i <= last; ++i) cell[i] = 1.0f;
  out[0] = cell[0];
}

__global__ inline void dynamic_overrun_kernel(int last, float* out) {
  FOVEA_DYNAMIC_SHARED(float, row);
  row[last] = 1.0f;
  out[0] = row[last];
}

/// Runs over the end of a row inside of the tile: no other variable is touched.
__global__ inline void row_overrun_kernel(int column, float* out) {
  FOVEA_SHARED(float, tile, [8][9]);
  tile[1][0] = 2.0f;
  out[0] = tile[0][column];
}

/// `<=` for `<`.
__global__ inline void global_overrun_kernel(int n, const float* __restrict__ x, float* __restrict__ y) {
  const int i = static_cast<int>(threadIdx.x);
  if (i <= n) y[i] = x[i];
}

__global__ inline void misaligned_pack_kernel(const float* __restrict__ x, float* __restrict__ y) {
  gpu::store_pack(y, 0, gpu::load_pack<4>(x, 0));
}

/// Each call needs its own kilobyte, since it reads its caller's.
[[gnu::noinline]] __device__ inline int deep_sum(int left, const volatile int* callers) {
  volatile int frame[256];
  frame[left % 256] = callers[0];
  frame[0] = left;
  return left == 0 ? frame[1] : deep_sum(left - 1, frame) + frame[2];
}
__global__ inline void deep_recursion_kernel(int depth, int* out) { *out = deep_sum(depth, out); }

}  // namespace fovea::planted
