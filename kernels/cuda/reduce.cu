// SPDX-License-Identifier: Apache-2.0
#include "kernels/ops/reduce.h"

#include "kernels/arena.h"
#include "kernels/convert.h"
#include "kernels/cuda/access.cuh"
#include "kernels/cuda/block.cuh"
#include "kernels/cuda/strided.cuh"
#include "kernels/simt/simt.h"

/// Every sum is a tree given by the shape: threads add every kThreads-th term, the block combines its
/// threads, and sums that several blocks share are written out and summed by the same kernels again. No
/// atomics.
///
/// Reads each element once, 4 bytes for f32. Predicted: 85 % of the memory roof for rows of 4096 and more,
/// half of that for rows of a few hundred, where the block's two barriers show.
namespace fovea {
namespace {

constexpr int kThreads = 256;
constexpr int kWarps = kThreads / 32;
constexpr std::int64_t kSlice = 16384;    // terms of a row that one block takes: a chain of 64 per thread
constexpr std::int64_t kWarpWidth = 256;  // rows up to here are a warp's work

/// y[row, slice] for rows of `width` terms, a block each.
template <int kWidth, class T>
__global__ void sum_slices(std::int64_t rows, std::int64_t width, std::int64_t slices, T scale,
                           const T* __restrict__ x, T* __restrict__ y) {
  FOVEA_SHARED(T, scratch, [kWarps]);
  for (std::int64_t item = blockIdx.x; item < rows * slices; item += gridDim.x) {
    const gpu::Division at = gpu::divide(item, slices);
    const std::int64_t first = at.remainder * kSlice;
    const std::int64_t count = width - first < kSlice ? width - first : kSlice;
    const T* from = x + at.quotient * width + first;
    T lane[kWidth] = {};  // a sum for each place in a pack: shorter chains, no wait between additions
    for (const std::int64_t i : gpu::block_stride(count / kWidth)) {
      const auto values = gpu::load_pack<kWidth>(from, i);
      for (int k = 0; k < kWidth; ++k) lane[k] += values[k];
    }
    T sum = lane[0];
    for (int k = 1; k < kWidth; ++k) sum += lane[k];
    sum = gpu::block_reduce<kThreads>(sum, gpu::Add{}, scratch);
    if (threadIdx.x == 0) y[item] = scale * sum;
  }
}

/// y[row] for short rows, a warp each. The loop bound is the same for all lanes of a warp.
template <class T>
__global__ void sum_short_rows(std::int64_t rows, std::int64_t width, T scale, const T* __restrict__ x,
                               T* __restrict__ y) {
  const int lane = static_cast<int>(threadIdx.x) % 32;
  for (std::int64_t row = std::int64_t{blockIdx.x} * kWarps + threadIdx.x / 32; row < rows;
       row += std::int64_t{gridDim.x} * kWarps) {
    T sum = T(0);
    for (std::int64_t i = lane; i < width; i += 32) sum += x[row * width + i];
    sum = gpu::warp_reduce(sum, gpu::Add{});
    if (lane == 0) y[row] = scale * sum;
  }
}

/// y[outer, block, inner]: sums over `rows` rows each, 32 columns a block, kWarps rows at a time.
template <class T>
__global__ void sum_columns(Reduce shape, std::int64_t rows, std::int64_t row_blocks,
                            std::int64_t column_blocks, T scale, const T* __restrict__ x, T* __restrict__ y) {
  FOVEA_SHARED(T, part, [kWarps][32]);
  const int lane = static_cast<int>(threadIdx.x) % 32, warp = static_cast<int>(threadIdx.x) / 32;
  for (std::int64_t item = blockIdx.x; item < shape.outer * row_blocks * column_blocks; item += gridDim.x) {
    const gpu::Division by_column = gpu::divide(item, column_blocks);
    const gpu::Division by_row = gpu::divide(by_column.quotient, row_blocks);
    const std::int64_t column = by_column.remainder * 32 + lane;
    const std::int64_t first = by_row.remainder * rows;
    const std::int64_t last = first + rows < shape.width ? first + rows : shape.width;
    T sum = T(0);
    if (column < shape.inner)
      for (std::int64_t r = first + warp; r < last; r += kWarps)
        sum += x[(by_row.quotient * shape.width + r) * shape.inner + column];
    part[warp][lane] = sum;
    __syncthreads();
    if (warp == 0 && column < shape.inner) {
      for (int w = 1; w < kWarps; ++w) sum += part[w][lane];
      y[by_column.quotient * shape.inner + column] = scale * sum;
    }
    __syncthreads();  // `part` is written again for the next item
  }
}

template <class T>
void sum_rows(gpu::Queue& queue, std::int64_t rows, std::int64_t width, double scale, const T* x, T* y) {
  if (width <= kWarpWidth)
    return launch(queue, "sum_short_rows", sum_short_rows<T>, gpu::blocks_for(rows, kWarps), kThreads, 0,
                  rows, width, static_cast<T>(scale), x, y);
  constexpr int kWidth = gpu::kPackWidth<T>;
  const auto kernel = gpu::can_pack<kWidth>(width, x) ? sum_slices<kWidth, T> : sum_slices<1, T>;
  const std::int64_t slices = (width + kSlice - 1) / kSlice;
  if (slices == 1)
    return launch(queue, "sum_slices", kernel, gpu::blocks_for(rows, 1), kThreads, 0, rows, width, 1,
                  static_cast<T>(scale), x, y);
  Scratch<T> partial(queue, rows * slices, "reduce_sum");
  launch(queue, "sum_slices", kernel, gpu::blocks_for(rows * slices, 1), kThreads, 0, rows, width, slices,
         T(1), x, partial.data());
  sum_rows(queue, rows, slices, scale, partial.data(), y);
}

template <class T>
void sum_as(gpu::Queue& queue, const Reduce& s, double scale, const T* x, T* y) {
  if (s.outer * s.inner == 0) return;
  if (s.inner == 1) return sum_rows(queue, s.outer, s.width, scale, x, y);
  const std::int64_t column_blocks = (s.inner + 31) / 32;
  // Few columns and many rows: shorter slices of rows, so that all of the GPU has work.
  constexpr std::int64_t kEnoughBlocks = 256, kRows = 1024, kFewRows = 128;
  const std::int64_t rows = s.outer * column_blocks < kEnoughBlocks ? kFewRows : kRows;
  const std::int64_t row_blocks = s.width > rows ? (s.width + rows - 1) / rows : 1;
  const auto blocks = gpu::blocks_for(s.outer * row_blocks * column_blocks, 1);
  if (row_blocks == 1)
    return launch(queue, "sum_columns", sum_columns<T>, blocks, kThreads, 0, s, rows, row_blocks,
                  column_blocks, static_cast<T>(scale), x, y);
  Scratch<T> partial(queue, s.outer * row_blocks * s.inner, "reduce_sum");
  launch(queue, "sum_columns", sum_columns<T>, blocks, kThreads, 0, s, rows, row_blocks, column_blocks, T(1),
         x, partial.data());
  sum_as(queue, Reduce{s.outer, row_blocks, s.inner}, scale, partial.data(), y);
}

}  // namespace

void kernels::reduce_sum(gpu::Queue& queue, const Reduce& shape, DType dtype, double scale, const void* x,
                         void* y) {
  with_float_type(dtype, [&]<class T>(TypeTag<T>) {
    sum_as(queue, shape, scale, static_cast<const T*>(x), static_cast<T*>(y));
  });
}

void kernels::channel_sum(gpu::Queue& queue, std::int64_t batch, std::int64_t channels, std::int64_t inner,
                          const float* x, float* y) {
  if (batch == 1 || inner == 1)
    return sum_as(queue, inner == 1 ? Reduce{1, batch, channels} : Reduce{channels, inner, 1}, 1.0, x, y);
  Scratch<float> planes(queue, batch * channels, "channel_sum");
  sum_as(queue, Reduce{batch * channels, inner, 1}, 1.0, x, planes.data());
  sum_as(queue, Reduce{1, batch, channels}, 1.0, planes.data(), y);
}

}  // namespace fovea
