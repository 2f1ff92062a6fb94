// SPDX-License-Identifier: Apache-2.0
#include "kernels/cuda/access.cuh"
#include "kernels/cuda/matmul_tiled.h"

/// Each block computes a square tile of c, each of its 8x8 threads kEach x kEach of it in registers. Steps of
/// kDepth of a and b go through shared memory, both with the summed index outermost, so that a thread reads
/// its rows and columns in 16-byte packs.
///
/// f32: per step of the sum a thread reads 4 packs for 64 multiply-adds. 2·m·n·k FLOP; a and b are read from
/// memory once per 64 columns and rows of c. Predicted for large matrices: 45 % of the fp32 roof, since two
/// warps to a block and no overlap of loads with sums leave waiting times open. cuBLAS does matmul on a GPU.
namespace fovea {
namespace {

constexpr int kThreadsAcross = 8;
constexpr int kThreads = kThreadsAcross * kThreadsAcross;
constexpr int kDepth = 16;

template <class T>
struct Tile {
  static constexpr int kWidth = gpu::kPackWidth<T>;
  static constexpr int kEach = 2 * kWidth;  // rows, and columns, of a thread: two packs, half a tile apart
  static constexpr int kSide = kThreadsAcross * kEach;
  static constexpr int kPitch = kSide + kWidth;  // the transposing stores of a stage fall into more banks
};

/// Element (i, k) of an operand stands at data[i·along + k·depth]; i counts rows of a or columns of b.
template <class T>
struct Operand {
  const T* data;
  std::int64_t count, along, depth;
};

/// to[k][i] = operand(i_begin + i, k_begin + k), zeros outside. Lanes run along what is contiguous.
template <class T>
__device__ __forceinline__ void stage(const Operand<T>& x, std::int64_t i_begin, std::int64_t k_begin,
                                      std::int64_t k_end, T (&to)[kDepth][Tile<T>::kPitch]) {
  constexpr int kSide = Tile<T>::kSide;
  for (int e = static_cast<int>(threadIdx.x); e < kSide * kDepth; e += kThreads) {
    const int i = x.depth == 1 ? e / kDepth : e % kSide, k = x.depth == 1 ? e % kDepth : e / kSide;
    const bool inside = i_begin + i < x.count && k_begin + k < k_end;
    to[k][i] = inside ? x.data[(i_begin + i) * x.along + (k_begin + k) * x.depth] : T(0);
  }
}

template <class T>
__global__ void __launch_bounds__(kThreads)
    matmul_tiled_kernel(std::int64_t depth, std::int64_t tiles_across, Operand<T> a, Operand<T> b,
                        T* __restrict__ c) {
  using Here = Tile<T>;
  constexpr int kWidth = Here::kWidth, kEach = Here::kEach, kHalf = Here::kSide / 2;
  FOVEA_SHARED(T, rows, [kDepth][Tile<T>::kPitch]);
  FOVEA_SHARED(T, columns, [kDepth][Tile<T>::kPitch]);
  const std::int64_t top = blockIdx.x / tiles_across * Here::kSide;
  const std::int64_t left = blockIdx.x % tiles_across * Here::kSide;
  const int x = static_cast<int>(threadIdx.x) % kThreadsAcross,
            y = static_cast<int>(threadIdx.x) / kThreadsAcross;
  T sums[kEach][kEach] = {};
  for (std::int64_t k_begin = 0; k_begin < depth; k_begin += kDepth) {
    __syncthreads();  // the last step has been read
    stage(a, top, k_begin, depth, rows);
    stage(b, left, k_begin, depth, columns);
    __syncthreads();
    for (int k = 0; k < kDepth; ++k) {
      T left_values[kEach], right_values[kEach];
      for (int half = 0; half < 2; ++half) {
        const auto row = gpu::load_pack<kWidth>(&rows[k][half * kHalf], y);
        const auto column = gpu::load_pack<kWidth>(&columns[k][half * kHalf], x);
        for (int i = 0; i < kWidth; ++i) {
          left_values[half * kWidth + i] = row[i];
          right_values[half * kWidth + i] = column[i];
        }
      }
      for (int i = 0; i < kEach; ++i)
        for (int j = 0; j < kEach; ++j) sums[i][j] += left_values[i] * right_values[j];
    }
  }
  for (int i = 0; i < kEach; ++i)
    for (int j = 0; j < kEach; ++j) {
      const std::int64_t row = top + i / kWidth * kHalf + y * kWidth + i % kWidth;
      const std::int64_t column = left + j / kWidth * kHalf + x * kWidth + j % kWidth;
      if (row < a.count && column < b.count) c[row * b.count + column] = sums[i][j];
    }
}

template <class T>
void product(gpu::Queue& queue, const Matmul& shape, const void* a, const void* b, void* c) {
  constexpr int kSide = Tile<T>::kSide;
  const std::int64_t down = (shape.m + kSide - 1) / kSide, across = (shape.n + kSide - 1) / kSide;
  if (down * across == 0) return;
  const Operand<T> rows{static_cast<const T*>(a), shape.m, shape.transpose_a ? 1 : shape.k,
                        shape.transpose_a ? shape.m : 1};
  const Operand<T> columns{static_cast<const T*>(b), shape.n, shape.transpose_b ? shape.k : 1,
                           shape.transpose_b ? 1 : shape.n};
  launch(queue, "matmul_tiled", matmul_tiled_kernel<T>, static_cast<unsigned>(down * across), kThreads, 0,
         shape.k, across, rows, columns, static_cast<T*>(c));
}

}  // namespace

void kernels::matmul_tiled(gpu::Queue& queue, const Matmul& shape, DType dtype, const void* a, const void* b,
                           void* c) {
  if (dtype == DType::f64)
    product<double>(queue, shape, a, b, c);
  else if (queue.math() != Math::fp32)
    matmul_mma(queue, shape, static_cast<const float*>(a), static_cast<const float*>(b),
               static_cast<float*>(c));
  else
    product<float>(queue, shape, a, b, c);
}

}  // namespace fovea
