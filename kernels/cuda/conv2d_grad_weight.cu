// SPDX-License-Identifier: Apache-2.0
#include "kernels/arena.h"
#include "kernels/cuda/conv2d_mma.cuh"
#include "kernels/cuda/conv2d_tile.cuh"
#include "kernels/ops/conv2d.h"

/// Weight gradient. The forward kernel with its roles changed: a thread owns kSlide taps below each other of
/// one input channel for kOut output channels, neighbouring threads neighbouring kernel columns, and walks
/// over the pixels of some images (Note [Sliding rows]). Each run of images writes its own sums; a second
/// kernel adds the runs in order, so nothing is atomic and the bits depend on the shape alone.
///
/// Where a block's taps are fewer than its threads, `slices` of threads share them: each takes every
/// slices-th column of pixels, and the slices are added in order at the end. So depthwise kernels, where a
/// block has the taps of one channel, use all threads, too.
///
/// 40→8 channels, 15x15 on 50x50: 187 MFLOP an image, bound by arithmetic. Runs add 2·0.29 MB of traffic
/// each, 30 MB at batch 512: 10 us. Predicted: 15 of 16 kernel rows and 240 of 256 lanes work, 15 % of the
/// instructions are no multiply-adds, some 5 % of the time goes to stages: 70 % of the fp32 roof from batch
/// 32 on.
namespace fovea {
namespace {

using gpu::kSlide;
constexpr const char* kName = "conv2d_grad_weight";
constexpr int kMaxThreads = 256, kThreads = 256;
constexpr std::int64_t kEnoughBlocks = 528;  // four for each multiprocessor of an H100

struct WeightGradient : gpu::ConvGeometry {
  std::int64_t batch;
};

/// A block's taps: `channels` whole channels, or, if one has more than kMaxThreads groups of kSlide taps,
/// `pieces` blocks share a channel. A stage is rows x columns outputs, and the inputs they meet.
struct Tiling {
  int groups;   // of kSlide kernel rows
  int threads;  // with taps, of one slice
  int slices;
  int channels;                   // per block
  int blocks;                     // of channels, per group of channels
  int pieces;                     // per channel
  int spanned;                    // groups that the threads of a block can lie in
  int rows, columns;              // outputs of a stage
  gpu::Span in_rows, in_columns;  // inputs of a stage
  int pitch;
  std::int64_t runs, images;  // of images; images per run
};

/// [row][column][kOut], zeros for channels that do not exist.
template <int kOut>
__device__ __forceinline__ void stage_slopes(const WeightGradient& k, const float* __restrict__ dy, int out,
                                             int top, int left, int rows, int columns, float* to) {
  const int count = rows * columns;
  const std::int64_t plane = static_cast<std::int64_t>(k.out_height) * k.out_width;
  for (int i = static_cast<int>(threadIdx.x); i < count; i += static_cast<int>(blockDim.x)) {
    const int row = i / columns, column = i - row * columns;
    const float* from = dy + static_cast<std::int64_t>(top + row) * k.out_width + left + column;
    for (int o = 0; o < kOut; ++o) to[i * kOut + o] = out + o < k.outputs ? from[(out + o) * plane] : 0.0f;
  }
}

/// kUnit: stride and dilation are 1.
template <int kOut, bool kUnit>
__global__ void __launch_bounds__(kMaxThreads, 2)
    grad_weight_kernel(WeightGradient k, Tiling t, const float* __restrict__ x, const float* __restrict__ dy,
                       float* __restrict__ partial) {
  FOVEA_DYNAMIC_SHARED(float, shared);
  float* const slopes = shared;
  float* const pieces = shared + t.rows * t.columns * kOut;
  const int per_out = k.groups * t.blocks * t.pieces;
  const int at = static_cast<int>(blockIdx.x) % per_out, out = static_cast<int>(blockIdx.x) / per_out * kOut;
  const int block = at / t.pieces, channel_group = block / t.blocks;
  const int c_begin = block % t.blocks * t.channels;  // in its group
  const int first = at % t.pieces * kMaxThreads;      // of the groups of a channel
  const int channels = min(t.channels, k.channels - c_begin);

  const int slice = static_cast<int>(threadIdx.x) / t.threads;
  const int thread = static_cast<int>(threadIdx.x) - slice * t.threads;
  const int per_channel = t.groups * k.kernel_width;
  const int c = t.pieces > 1 ? 0 : thread / per_channel;
  const int place = t.pieces > 1 ? first + thread : thread - c * per_channel;
  const int group = place / k.kernel_width, s = place - group * k.kernel_width;
  const bool active = slice < t.slices && c < channels && group < t.groups;
  const int first_group = first / k.kernel_width, in_rows = t.in_rows.extent;
  x += (std::int64_t{channel_group} * k.channels + c_begin) * k.channel_stride;
  const std::int64_t all_outputs = std::int64_t{k.groups} * k.outputs;
  const std::int64_t first_out = std::int64_t{channel_group} * k.outputs;  // of the group

  float sums[kSlide][kOut] = {};
  const std::int64_t run = blockIdx.y, first_image = run * t.images, rest = k.batch - first_image;
  x += first_image * k.image_stride;
  dy += (first_image * all_outputs + first_out) * k.out_height * k.out_width;
  const int images = static_cast<int>(rest < t.images ? rest : t.images);  // 32 bits: registers are scarce
  for (int image = 0; image < images; ++image)
    for (int top = 0; top < k.out_height; top += t.rows)
      for (int left = 0; left < k.out_width; left += t.columns) {
        const int rows = min(t.rows, k.out_height - top), columns = min(t.columns, k.out_width - left);
        const gpu::Planes planes{x + image * k.image_stride, k.channel_stride, k.height, k.width};
        const int in_columns =
            t.in_columns.extent - (t.columns - columns) * k.stride_width / t.in_columns.step;
        __syncthreads();  // the last stage has been read
        gpu::stage_planes(planes, channels,
                          top * k.stride_height + first_group * kSlide * k.dilation_height - k.padding_top,
                          left * k.stride_width - k.padding_left, in_rows, in_columns, t.in_rows.step,
                          t.in_columns.step, t.pitch, pieces);
        stage_slopes<kOut>(k, dy + image * all_outputs * k.out_height * k.out_width, out, top, left, rows,
                           columns, slopes);
        __syncthreads();
        if (!active) continue;
        const int below = (group - first_group) * kSlide;  // kernel rows above this thread's
        for (int q = slice; q < columns; q += t.slices) {
          if constexpr (kUnit) {
            gpu::slide(rows, pieces + (c * in_rows + below) * t.pitch + s + q, t.pitch, slopes + q * kOut,
                       columns * kOut, sums);
          } else {
            const int window = k.dilation_height / t.in_rows.step * t.pitch;
            gpu::slide_apart(rows, k.stride_height == 1 ? k.dilation_height : rows,
                             pieces + c * in_rows * t.pitch + below * window +
                                 (s * k.dilation_width + q * k.stride_width) / t.in_columns.step,
                             k.stride_height / t.in_rows.step * t.pitch, window, slopes + q * kOut,
                             columns * kOut, sums);
          }
        }
      }
  if (t.slices > 1) {  // the same for all threads of the block
    __syncthreads();   // the last stage has been read
    const int threads = t.threads * t.slices;
    if (active && slice > 0)
      for (int j = 0; j < kSlide; ++j)
        for (int o = 0; o < kOut; ++o)
          shared[(j * kOut + o) * threads + static_cast<int>(threadIdx.x)] = sums[j][o];
    __syncthreads();
    if (active && slice == 0)
      for (int other = 1; other < t.slices; ++other)
        for (int j = 0; j < kSlide; ++j)
          for (int o = 0; o < kOut; ++o)
            sums[j][o] += shared[(j * kOut + o) * threads + other * t.threads + thread];
  }
  if (!active || slice > 0) return;
  const std::int64_t taps = static_cast<std::int64_t>(k.kernel_height) * k.kernel_width;
  for (int o = 0; o < kOut && out + o < k.outputs; ++o) {
    float* to = partial + ((run * all_outputs + first_out + out + o) * k.channels + c_begin + c) * taps + s;
    for (int j = 0; j < kSlide; ++j) {
      const int r = group * kSlide + j;
      if (r < k.kernel_height) to[static_cast<std::int64_t>(r) * k.kernel_width] = sums[j][o];
    }
  }
}

__global__ void add_runs_kernel(std::int64_t count, std::int64_t runs, const float* __restrict__ partial,
                                float* __restrict__ dw) {
  for (const std::int64_t i : gpu::grid_stride(count)) {
    float sum = 0.0f;
    for (std::int64_t run = 0; run < runs; ++run) sum += partial[run * count + i];
    dw[i] = sum;
  }
}

/// Shared memory of a stage, in floats; sets the inputs' extents.
int stage_floats(const WeightGradient& k, Tiling& t, int out) {
  t.in_rows = gpu::span_of(t.rows, kSlide * t.spanned, k.stride_height, k.dilation_height);
  t.in_columns = gpu::span_of(t.columns, k.kernel_width, k.stride_width, k.dilation_width);
  t.pitch = gpu::conflict_free_pitch(t.in_columns.extent, k.kernel_width);
  return t.rows * t.columns * out + t.channels * t.in_rows.extent * t.pitch;
}

Tiling plan_tiling(const WeightGradient& k, int out) {
  Tiling t{};
  t.groups = gpu::ceil_div(k.kernel_height, kSlide);
  const int per_channel = t.groups * k.kernel_width;
  t.pieces = gpu::ceil_div(per_channel, kMaxThreads);
  const int fitting = gpu::larger(1, kMaxThreads / per_channel);
  t.channels = gpu::ceil_div(k.channels, gpu::ceil_div(k.channels, fitting));  // blocks of equal size
  t.spanned =
      t.pieces == 1 ? t.groups : gpu::smaller(t.groups, gpu::ceil_div(kMaxThreads, k.kernel_width) + 1);
  t.columns = gpu::ceil_div(k.out_width, gpu::ceil_div(k.out_width, 64));
  const auto fits = [&](int rows) {
    t.rows = rows;
    return stage_floats(k, t, out) <= gpu::kSharedFloats;
  };
  const int some_rows = gpu::smaller(4, k.out_height);
  while (t.channels > 1 && !fits(some_rows)) --t.channels;
  // A wide dilation fits better with one row of outputs, whose taps are staged without the rows between them.
  const auto enough = [&] { return fits(some_rows) || (k.dilation_height > 1 && fits(1)); };
  while (t.columns > 1 && !enough()) t.columns = gpu::ceil_div(t.columns, 2);
  int rows = 1;
  while (rows < k.out_height && fits(rows + 1)) ++rows;
  t.rows = gpu::ceil_div(k.out_height, gpu::ceil_div(k.out_height, rows));
  t.threads = gpu::smaller(kMaxThreads, t.channels * per_channel);
  t.slices = gpu::larger(1, gpu::smaller(t.columns, kMaxThreads / t.threads));
  t.blocks = gpu::ceil_div(k.channels, t.channels);
  const std::int64_t blocks = std::int64_t{k.groups} * t.blocks * t.pieces * gpu::ceil_div(k.outputs, out);
  const std::int64_t wanted = (kEnoughBlocks + blocks - 1) / blocks;
  t.images = (k.batch + wanted - 1) / wanted;
  t.runs = (k.batch + t.images - 1) / t.images;
  return t;
}

template <int kOut>
void grad_weight(gpu::Queue& queue, const WeightGradient& k, std::int64_t count, const float* x,
                 const float* dy, float* dw) {
  Tiling t = plan_tiling(k, kOut);
  const int stage = stage_floats(k, t, kOut), threads = t.threads * t.slices;
  const int floats = t.slices > 1 ? gpu::larger(stage, kSlide * kOut * threads) : stage;
  const Scratch<float> partial(queue, t.runs > 1 ? t.runs * count : 0, kName);
  float* const sums = t.runs > 1 ? partial.data() : dw;
  const dim3 grid(
      gpu::grid_blocks(std::int64_t{k.groups} * t.blocks * t.pieces * gpu::ceil_div(k.outputs, kOut)),
      static_cast<unsigned>(t.runs));
  const auto block = static_cast<unsigned>(gpu::ceil_div(threads, 32) * 32);
  const auto bytes = static_cast<std::size_t>(floats) * sizeof(float);
  const bool unit =
      k.stride_height == 1 && k.stride_width == 1 && k.dilation_height == 1 && k.dilation_width == 1;
  if (unit)
    launch(queue, kName, grad_weight_kernel<kOut, true>, grid, block, bytes, k, t, x, dy, sums);
  else
    launch(queue, kName, grad_weight_kernel<kOut, false>, grid, block, bytes, k, t, x, dy, sums);
  if (t.runs > 1) gpu::add_runs(queue, count, t.runs, sums, dw);
}

}  // namespace

void gpu::add_runs(Queue& queue, std::int64_t count, std::int64_t runs, const float* partial, float* dw) {
  launch(queue, kName, add_runs_kernel, blocks_for(count, kThreads), kThreads, 0, count, runs, partial, dw);
}

void kernels::conv2d_grad_weight(gpu::Queue& queue, const Conv2d& shape, const float* x, const float* dy,
                                 float* dw) {
  const std::int64_t count = shape.weight_count();
  if (count == 0) return;
  if (shape.batch == 0 || shape.out_height() <= 0 || shape.out_width() <= 0) {
    gpu::add_runs(queue, count, 0, dw, dw);
    return;
  }
  if (queue.math() != Math::fp32 && gpu::mma_serves(shape) && gpu::grad_weight_mma(queue, shape, x, dy, dw))
    return;
  const WeightGradient k{gpu::conv_geometry(shape), shape.batch};
  if (gpu::out_per_thread(k.outputs) == 1)
    grad_weight<1>(queue, k, count, x, dy, dw);
  else
    grad_weight<gpu::kManyOut>(queue, k, count, x, dy, dw);
}

}  // namespace fovea
