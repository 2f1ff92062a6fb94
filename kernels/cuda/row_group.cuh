// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstdint>

#include "kernels/arena.h"
#include "kernels/cuda/access.cuh"
#include "kernels/cuda/block.cuh"
#include "kernels/simt/simt.h"

/// Rows of a matrix, each the work of a warp or, if it is long, of a block.
namespace fovea::gpu {

constexpr int kRowBlock = 256;             // threads of a block
constexpr std::int64_t kWarpRow = 1024;    // a longer row is a block's work
constexpr int kRowWarps = kRowBlock / 32;  // and the scratch that a reduction wants

/// The threads that share a row: kThreads is 32 or kRowBlock. All of them take the same turns, so that they
/// meet in reduce().
template <int kThreads>
struct RowGroup {
  static_assert(kThreads == 32 || kThreads == kRowBlock);
  static constexpr int kRows = kRowBlock / kThreads;  // of a block

  __device__ __forceinline__ static std::int64_t first() {
    return std::int64_t{blockIdx.x} * kRows + threadIdx.x / kThreads;
  }
  __device__ __forceinline__ static std::int64_t step() { return std::int64_t{gridDim.x} * kRows; }
  __device__ __forceinline__ static int lane() { return static_cast<int>(threadIdx.x) % kThreads; }
  /// scratch  shared memory, kRowWarps of T; a warp does without
  template <class T, class Op>
  __device__ __forceinline__ static T reduce(T value, Op op, [[maybe_unused]] T* scratch) {
    if constexpr (kThreads == 32)
      return warp_reduce(value, op);
    else
      return block_reduce<kRowBlock>(value, op, scratch);
  }
};

/// Blocks for so many rows.
inline unsigned row_blocks(std::int64_t rows, std::int64_t width) {
  return blocks_for(rows, width <= kWarpRow ? kRowWarps : 1);
}

namespace {

/// *total = scale·Σ of_row, by one block.
template <int kThreads>
__global__ void __launch_bounds__(kThreads)
    row_total(std::int64_t rows, double scale, const double* __restrict__ of_row, float* __restrict__ total) {
  FOVEA_SHARED(double, scratch, [kThreads / 32]);
  double sum = 0.0;
  for (const std::int64_t row : block_stride(rows)) sum += of_row[row];
  sum = block_reduce<kThreads>(sum, Add{}, scratch);
  if (threadIdx.x == 0) *total = static_cast<float>(scale * sum);
}

}  // namespace
}  // namespace fovea::gpu
