// SPDX-License-Identifier: Apache-2.0
#include "kernels/cuda/access.cuh"
#include "kernels/cuda/matmul_tiled.h"
#include "kernels/cuda/mma_words.cuh"

/// The product in tf32 or bf16 by tensor cores. Four warps make a 64x64 tile of c, each 32x32 of it in registers:
/// 2x4 mma for each 8 words of the sum. Operands are f32 in memory; they are rounded on their way into shared memory,
/// 16 words of the sum at a time, rows of 80 bytes, so that the eight rows that ldmatrix reads at once, and the eight
/// 16-byte stores of a quarter warp, meet all banks once. Sums are fp32, k ascending.
///
/// Per step and SM: 2·64·16 words staged (two loads and some ten other instructions for four words of tf32) for 64 mma.
/// Predicted for large matrices: the staging is a third of the issue slots and is not overlapped with the sums within
/// a block, so 25 % of the mma.sync roof in tf32 and 20 % in bf16; cuBLAS does matmul on a GPU. Not yet run on a GPU.
namespace fovea {
namespace {

constexpr int kSide = 64, kThreads = 128, kWarpSide = 32;
constexpr int kWords = 16;  // of the sum in one step
constexpr int kPitch = kWords + 4;
constexpr int kChunk = 4;  // words of one 16-byte store

/// Element (i, k) of an operand stands at data[i·along + k·depth]; i counts rows of a or columns of b.
struct Operand {
  const float* data;
  std::int64_t count, along, depth;
};

/// to[i][word] = operand(i_begin + i, values of the word from k_begin on), zeros outside. Lanes run along what is
/// contiguous.
template <Math kMath>
__device__ __forceinline__ void stage(const Operand& x, std::int64_t i_begin, std::int64_t k_begin,
                                      std::int64_t k_end, unsigned (&to)[kSide][kPitch]) {
  constexpr int kChunks = kWords / kChunk, kEach = gpu::kWordValues<kMath>;
  for (int e = static_cast<int>(threadIdx.x); e < kSide * kChunks; e += kThreads) {
    const int i = x.depth == 1 ? e / kChunks : e % kSide, chunk = x.depth == 1 ? e % kChunks : e / kSide;
    const std::int64_t k = k_begin + chunk * kChunk * kEach;
    const float* const from = x.data + (i_begin + i) * x.along + k * x.depth;
    const bool inside = i_begin + i < x.count;
    gpu::Pack<unsigned, kChunk> words;
    for (int w = 0; w < kChunk; ++w)
      words[w] = gpu::word_of<kMath>([&](int v) {
        const int at = w * kEach + v;
        return inside && k + at < k_end ? from[at * x.depth] : 0.0f;
      });
    gpu::store_pack(to[i], chunk, words);
  }
}

template <Math kMath>
__global__ void __launch_bounds__(kThreads) matmul_mma_kernel(std::int64_t depth, std::int64_t tiles_across,
                                                              Operand a, Operand b, float* __restrict__ c) {
  FOVEA_SHARED(unsigned, rows, [kSide][kPitch]);
  FOVEA_SHARED(unsigned, columns, [kSide][kPitch]);
  const std::int64_t top = blockIdx.x / tiles_across * kSide, left = blockIdx.x % tiles_across * kSide;
  const int lane = static_cast<int>(threadIdx.x) % 32, warp = static_cast<int>(threadIdx.x) / 32;
  const int warp_top = warp / 2 * kWarpSide, warp_left = warp % 2 * kWarpSide;
  float sums[2][4][4] = {};
  for (std::int64_t k_begin = 0; k_begin < depth; k_begin += kWords * gpu::kWordValues<kMath>) {
    __syncthreads();  // the last step has been read
    stage<kMath>(a, top, k_begin, depth, rows);
    stage<kMath>(b, left, k_begin, depth, columns);
    __syncthreads();
    for (int w = 0; w < kWords; w += gpu::kMmaWords) {
      unsigned in_a[2][4], in_b[4][2];
      for (int i = 0; i < 2; ++i)
        gpu::load_matrices<4>(in_a[i], &rows[warp_top + 16 * i + lane % 16][w + lane / 16 * 4]);
      for (int j = 0; j < 4; j += 2) {
        unsigned four[4];
        gpu::load_matrices<4>(four,
                              &columns[warp_left + 8 * j + lane % 8 + lane / 16 * 8][w + lane / 8 % 2 * 4]);
        for (int i = 0; i < 4; ++i) in_b[j + i / 2][i % 2] = four[i];
      }
      for (int i = 0; i < 2; ++i)
        for (int j = 0; j < 4; ++j) gpu::multiply_words<kMath>(sums[i][j], in_a[i], in_b[j]);
    }
  }
  for (int i = 0; i < 2; ++i)
    for (int j = 0; j < 4; ++j)
      for (int v = 0; v < 4; ++v) {
        const std::int64_t row = top + warp_top + 16 * i + lane / 4 + v / 2 * 8;
        const std::int64_t column = left + warp_left + 8 * j + lane % 4 * 2 + v % 2;
        if (row < a.count && column < b.count) c[row * b.count + column] = sums[i][j][v];
      }
}

}  // namespace

void kernels::matmul_mma(gpu::Queue& queue, const Matmul& shape, const float* a, const float* b, float* c) {
  const std::int64_t down = (shape.m + kSide - 1) / kSide, across = (shape.n + kSide - 1) / kSide;
  if (down * across == 0) return;
  const Operand rows{a, shape.m, shape.transpose_a ? 1 : shape.k, shape.transpose_a ? shape.m : 1};
  const Operand columns{b, shape.n, shape.transpose_b ? shape.k : 1, shape.transpose_b ? 1 : shape.n};
  launch(queue, "matmul_mma",
         queue.math() == Math::bf16 ? matmul_mma_kernel<Math::bf16> : matmul_mma_kernel<Math::tf32>,
         gpu::grid_blocks(down * across), kThreads, 0, shape.k, across, rows, columns, c);
}

}  // namespace fovea
