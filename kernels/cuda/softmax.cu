// SPDX-License-Identifier: Apache-2.0
#include "kernels/ops/softmax.h"

#include "kernels/cuda/softmax_parts.cuh"
#include "kernels/cuda/strided.cuh"

/// Two passes over a row: maximum and sum together, then the results. The second finds what the first has
/// read in a cache (a warp's row has at most 4 KiB), so memory sees 8 bytes an element, 12 for the gradient,
/// beside two exponentials and some ten other operations. Predicted on an H100 (3.0 TB/s): 0.8 of the memory
/// roof for rows of 128 to 16384 elements; less for shorter rows, which leave lanes idle, and for longer
/// ones, whose second pass comes from the second cache.
///
/// Rows that do not lie together (inner > 1) are taken 32 side by side, by a block whose 8 warps divide their
/// length.
namespace fovea {
namespace {

using gpu::MaxSum;
using std::int64_t;

constexpr int kWarps = gpu::kRowWarps;

struct Softmax {
  __device__ static float factor(float sum) { return 1.0f / sum; }
  __device__ static float value(float x, float max, float factor) { return expf(x - max) * factor; }
  __device__ static float term(float y, float dy) { return dy * y; }
  __device__ static float slope(float y, float dy, float total) { return y * (dy - total); }
};
struct LogSoftmax {
  __device__ static float factor(float sum) { return logf(sum); }
  __device__ static float value(float x, float max, float factor) { return (x - max) - factor; }
  __device__ static float term(float, float dy) { return dy; }
  __device__ static float slope(float y, float dy, float total) { return dy - expf(y) * total; }
};

template <class Form, int kThreads, int kWidth>
__global__ void __launch_bounds__(gpu::kRowBlock)
    softmax_rows(int64_t rows, int64_t width, const float* __restrict__ x, float* __restrict__ y) {
  using Group = gpu::RowGroup<kThreads>;
  FOVEA_SHARED(MaxSum, scratch, [kWarps]);
  for (int64_t row = Group::first(); row < rows; row += Group::step()) {
    const MaxSum all = gpu::max_sum_of_row<kThreads, kWidth>(width, x + row * width, scratch);
    const float factor = Form::factor(all.sum);
    for (int64_t i = Group::lane(); i < width / kWidth; i += kThreads) {
      gpu::Pack<float, kWidth> values = gpu::load_pack<kWidth>(x + row * width, i);
      for (int k = 0; k < kWidth; ++k) values[k] = Form::value(values[k], all.max, factor);
      gpu::store_pack<kWidth>(y + row * width, i, values);
    }
  }
}

template <class Form, int kThreads, int kWidth>
__global__ void __launch_bounds__(gpu::kRowBlock)
    softmax_rows_grad(int64_t rows, int64_t width, const float* __restrict__ y, const float* __restrict__ dy,
                      float* __restrict__ dx) {
  using Group = gpu::RowGroup<kThreads>;
  FOVEA_SHARED(float, scratch, [kWarps]);
  for (int64_t row = Group::first(); row < rows; row += Group::step()) {
    const float *of_y = y + row * width, *of_dy = dy + row * width;
    float sum = 0.0f;
    for (int64_t i = Group::lane(); i < width / kWidth; i += kThreads) {
      const auto values = gpu::load_pack<kWidth>(of_y, i), slopes = gpu::load_pack<kWidth>(of_dy, i);
      for (int k = 0; k < kWidth; ++k) sum += Form::term(values[k], slopes[k]);
    }
    const float total = Group::reduce(sum, gpu::Add{}, scratch);
    for (int64_t i = Group::lane(); i < width / kWidth; i += kThreads) {
      const auto values = gpu::load_pack<kWidth>(of_y, i);
      auto slopes = gpu::load_pack<kWidth>(of_dy, i);
      for (int k = 0; k < kWidth; ++k) slopes[k] = Form::slope(values[k], slopes[k], total);
      gpu::store_pack<kWidth>(dx + row * width, i, slopes);
    }
  }
}

/// Where a block's 32 rows side by side begin, and whether this lane has one.
struct Columns {
  int64_t at;
  bool mine;
};
__device__ Columns columns_of(const Reduce& s, int64_t item, int64_t groups, int lane) {
  const gpu::Division by_group = gpu::divide(item, groups);
  const int64_t column = by_group.remainder * 32 + lane;
  return {by_group.quotient * s.width * s.inner + column, column < s.inner};
}

template <class Form>
__global__ void __launch_bounds__(gpu::kRowBlock)
    softmax_columns(Reduce s, int64_t groups, const float* __restrict__ x, float* __restrict__ y) {
  FOVEA_SHARED(MaxSum, part, [kWarps][32]);
  const int lane = static_cast<int>(threadIdx.x) % 32, warp = static_cast<int>(threadIdx.x) / 32;
  for (int64_t item = blockIdx.x; item < s.outer * groups; item += gridDim.x) {
    const Columns of = columns_of(s, item, groups, lane);
    MaxSum all{-FLT_MAX, 0.0f};
    if (of.mine)
      for (int64_t r = warp; r < s.width; r += kWarps)
        all.include(gpu::Pack<float, 1>{{x[of.at + r * s.inner]}});
    part[warp][lane] = all;
    __syncthreads();
    all = part[0][lane];
    for (int w = 1; w < kWarps; ++w) all = gpu::MergeMaxSum{}(all, part[w][lane]);
    const float factor = Form::factor(all.sum);
    if (of.mine)
      for (int64_t r = warp; r < s.width; r += kWarps)
        y[of.at + r * s.inner] = Form::value(x[of.at + r * s.inner], all.max, factor);
    __syncthreads();  // `part` is written again for the next item
  }
}

template <class Form>
__global__ void __launch_bounds__(gpu::kRowBlock)
    softmax_columns_grad(Reduce s, int64_t groups, const float* __restrict__ y, const float* __restrict__ dy,
                         float* __restrict__ dx) {
  FOVEA_SHARED(float, part, [kWarps][32]);
  const int lane = static_cast<int>(threadIdx.x) % 32, warp = static_cast<int>(threadIdx.x) / 32;
  for (int64_t item = blockIdx.x; item < s.outer * groups; item += gridDim.x) {
    const Columns of = columns_of(s, item, groups, lane);
    float sum = 0.0f;
    if (of.mine)
      for (int64_t r = warp; r < s.width; r += kWarps)
        sum += Form::term(y[of.at + r * s.inner], dy[of.at + r * s.inner]);
    part[warp][lane] = sum;
    __syncthreads();
    float total = part[0][lane];
    for (int w = 1; w < kWarps; ++w) total += part[w][lane];
    if (of.mine)
      for (int64_t r = warp; r < s.width; r += kWarps)
        dx[of.at + r * s.inner] = Form::slope(y[of.at + r * s.inner], dy[of.at + r * s.inner], total);
    __syncthreads();  // `part` is written again for the next item
  }
}

int64_t column_groups(const Reduce& s) { return (s.inner + 31) / 32; }

template <class Form>
void forward(gpu::Queue& q, const char* name, const Reduce& s, const float* x, float* y) {
  if (s.inner > 1)
    return launch(q, name, softmax_columns<Form>, gpu::blocks_for(s.outer * column_groups(s), 1),
                  gpu::kRowBlock, 0, s, column_groups(s), x, y);
  const bool packs = gpu::can_pack<4>(s.width, x, static_cast<const float*>(y));
  const auto by_warp = packs ? softmax_rows<Form, 32, 4> : softmax_rows<Form, 32, 1>;
  const auto by_block = packs ? softmax_rows<Form, gpu::kRowBlock, 4> : softmax_rows<Form, gpu::kRowBlock, 1>;
  launch(q, name, s.width <= gpu::kWarpRow ? by_warp : by_block, gpu::row_blocks(s.outer, s.width),
         gpu::kRowBlock, 0, s.outer, s.width, x, y);
}

template <class Form>
void backward(gpu::Queue& q, const char* name, const Reduce& s, const float* y, const float* dy, float* dx) {
  if (s.inner > 1)
    return launch(q, name, softmax_columns_grad<Form>, gpu::blocks_for(s.outer * column_groups(s), 1),
                  gpu::kRowBlock, 0, s, column_groups(s), y, dy, dx);
  const bool packs = gpu::can_pack<4>(s.width, y, dy, static_cast<const float*>(dx));
  const auto by_warp = packs ? softmax_rows_grad<Form, 32, 4> : softmax_rows_grad<Form, 32, 1>;
  const auto by_block =
      packs ? softmax_rows_grad<Form, gpu::kRowBlock, 4> : softmax_rows_grad<Form, gpu::kRowBlock, 1>;
  launch(q, name, s.width <= gpu::kWarpRow ? by_warp : by_block, gpu::row_blocks(s.outer, s.width),
         gpu::kRowBlock, 0, s.outer, s.width, y, dy, dx);
}

}  // namespace

void kernels::softmax(gpu::Queue& q, const Reduce& shape, const float* x, float* y) {
  forward<Softmax>(q, "softmax", shape, x, y);
}
void kernels::softmax_grad(gpu::Queue& q, const Reduce& shape, const float* y, const float* dy, float* dx) {
  backward<Softmax>(q, "softmax_grad", shape, y, dy, dx);
}
void kernels::log_softmax(gpu::Queue& q, const Reduce& shape, const float* x, float* y) {
  forward<LogSoftmax>(q, "log_softmax", shape, x, y);
}
void kernels::log_softmax_grad(gpu::Queue& q, const Reduce& shape, const float* y, const float* dy,
                               float* dx) {
  backward<LogSoftmax>(q, "log_softmax_grad", shape, y, dy, dx);
}

}  // namespace fovea
