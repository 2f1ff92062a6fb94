// SPDX-License-Identifier: Apache-2.0
#include "kernels/arena.h"
#include "kernels/cuda/conv2d_tile.cuh"
#include "kernels/ops/conv2d.h"

/// Weight gradient. The forward kernel with its roles changed: a thread owns kSlide taps below each other of
/// one input channel for kOut output channels, neighbouring threads neighbouring kernel columns, and walks
/// over the pixels of some images (Note [Sliding rows]). Each run of images writes its own sums; a second
/// kernel adds the runs in order, so nothing is atomic and the bits depend on the shape alone.
///
/// 40→8 channels, 15x15 on 50x50: 187 MFLOP an image, bound by arithmetic. Runs add 2·0.29 MB of traffic
/// each, 30 MB at batch 512: 10 us. Predicted: 15 of 16 kernel rows and 240 of 256 lanes work, 15 % of the
/// instructions are no multiply-adds, some 5 % of the time goes to stages: 70 % of the fp32 roof from batch
/// 32 on.
namespace fovea {
namespace {

using gpu::kOut, gpu::kSlide;
constexpr int kMaxThreads = 256;
constexpr std::int64_t kEnoughBlocks = 528;  // four for each multiprocessor of an H100

struct WeightGradient {
  std::int64_t batch, image_stride, channel_stride;
  int channels, height, width;
  int kernel_height, kernel_width, padding_height, padding_width;
  int out_channels, out_height, out_width;
};

/// A block's taps: `channels` whole channels, or, if one has more than kMaxThreads groups of kSlide taps,
/// `pieces` blocks share a channel. A stage is rows x columns outputs, and the inputs they meet.
struct Tiling {
  int groups;    // of kSlide kernel rows
  int threads;   // with taps
  int channels;  // per block
  int pieces;    // per channel
  int spanned;   // groups that the threads of a block can lie in
  int rows, columns, pitch;
  std::int64_t runs, images;  // of images; images per run

  __host__ __device__ int in_rows() const { return rows + kSlide * spanned - 1; }
};

/// [row][column][kOut], zeros for channels that do not exist.
__device__ __forceinline__ void stage_slopes(const WeightGradient& k, const float* __restrict__ dy, int out,
                                             int top, int left, int rows, int columns, float* to) {
  const int count = rows * columns;
  const std::int64_t plane = static_cast<std::int64_t>(k.out_height) * k.out_width;
  for (int i = static_cast<int>(threadIdx.x); i < count; i += static_cast<int>(blockDim.x)) {
    const int row = i / columns, column = i - row * columns;
    const float* from = dy + static_cast<std::int64_t>(top + row) * k.out_width + left + column;
    for (int o = 0; o < kOut; ++o)
      to[i * kOut + o] = out + o < k.out_channels ? from[(out + o) * plane] : 0.0f;
  }
}

__global__ void __launch_bounds__(kMaxThreads, 2)
    grad_weight_kernel(WeightGradient k, Tiling t, const float* __restrict__ x, const float* __restrict__ dy,
                       float* __restrict__ partial) {
  FOVEA_DYNAMIC_SHARED(float, shared);
  float* const slopes = shared;
  float* const pieces = shared + t.rows * t.columns * kOut;
  const int c_begin = static_cast<int>(blockIdx.x) / t.pieces * t.channels;
  const int first = static_cast<int>(blockIdx.x) % t.pieces * kMaxThreads;  // of the groups of a channel
  const int out = static_cast<int>(blockIdx.y) * kOut;
  const int channels = min(t.channels, k.channels - c_begin);

  const int per_channel = t.groups * k.kernel_width, thread = static_cast<int>(threadIdx.x);
  const int c = t.pieces > 1 ? 0 : thread / per_channel;
  const int place = t.pieces > 1 ? first + thread : thread - c * per_channel;
  const int group = place / k.kernel_width, s = place - group * k.kernel_width;
  const bool active = thread < t.threads && c < channels && group < t.groups;
  const int first_group = first / k.kernel_width, in_rows = t.in_rows();

  float sums[kSlide][kOut] = {};
  const std::int64_t run = blockIdx.z, end = run * t.images + t.images;
  for (std::int64_t image = run * t.images; image < end && image < k.batch; ++image)
    for (int top = 0; top < k.out_height; top += t.rows)
      for (int left = 0; left < k.out_width; left += t.columns) {
        const int rows = min(t.rows, k.out_height - top), columns = min(t.columns, k.out_width - left);
        const gpu::Planes planes{x + image * k.image_stride + c_begin * k.channel_stride, k.channel_stride,
                                 k.height, k.width};
        __syncthreads();  // the last stage has been read
        gpu::stage_planes(planes, channels, top + first_group * kSlide - k.padding_height,
                          left - k.padding_width, in_rows, columns + k.kernel_width - 1, t.pitch, pieces);
        stage_slopes(k, dy + image * k.out_channels * k.out_height * k.out_width, out, top, left, rows,
                     columns, slopes);
        __syncthreads();
        if (!active) continue;
        const float* corner = pieces + (c * in_rows + (group - first_group) * kSlide) * t.pitch + s;
        for (int q = 0; q < columns; ++q)
          gpu::slide(rows, corner + q, t.pitch, slopes + q * kOut, columns * kOut, sums);
      }
  if (!active) return;
  const std::int64_t taps = static_cast<std::int64_t>(k.kernel_height) * k.kernel_width;
  for (int o = 0; o < kOut && out + o < k.out_channels; ++o) {
    float* to = partial + ((run * k.out_channels + out + o) * k.channels + c_begin + c) * taps + s;
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

Tiling plan_tiling(const WeightGradient& k) {
  Tiling t{};
  t.groups = gpu::ceil_div(k.kernel_height, kSlide);
  const int per_channel = t.groups * k.kernel_width;
  t.pieces = gpu::ceil_div(per_channel, kMaxThreads);
  const int fitting = gpu::larger(1, kMaxThreads / per_channel);
  t.channels = gpu::ceil_div(k.channels, gpu::ceil_div(k.channels, fitting));  // blocks of equal size
  t.spanned =
      t.pieces == 1 ? t.groups : gpu::smaller(t.groups, gpu::ceil_div(kMaxThreads, k.kernel_width) + 1);
  const auto floats = [&](int rows, int columns, int channels) {
    return rows * columns * kOut + channels * (rows + kSlide * t.spanned - 1) *
                                       gpu::conflict_free_pitch(columns + k.kernel_width - 1, k.kernel_width);
  };
  t.columns = gpu::ceil_div(k.out_width, gpu::ceil_div(k.out_width, 64));
  while (t.channels > 1 && floats(4, t.columns, t.channels) > gpu::kSharedFloats) --t.channels;
  while (t.columns > 1 && floats(4, t.columns, t.channels) > gpu::kSharedFloats)
    t.columns = gpu::ceil_div(t.columns, 2);
  t.rows = 1;
  while (t.rows < k.out_height && floats(t.rows + 1, t.columns, t.channels) <= gpu::kSharedFloats) ++t.rows;
  t.rows = gpu::ceil_div(k.out_height, gpu::ceil_div(k.out_height, t.rows));
  t.pitch = gpu::conflict_free_pitch(t.columns + k.kernel_width - 1, k.kernel_width);
  t.threads = gpu::smaller(kMaxThreads, t.channels * per_channel);
  const std::int64_t blocks = static_cast<std::int64_t>(gpu::ceil_div(k.channels, t.channels)) * t.pieces *
                              gpu::ceil_div(k.out_channels, kOut);
  const std::int64_t wanted = (kEnoughBlocks + blocks - 1) / blocks;
  t.images = (k.batch + wanted - 1) / wanted;
  t.runs = (k.batch + t.images - 1) / t.images;
  return t;
}

}  // namespace

void kernels::conv2d_grad_weight(gpu::Queue& queue, const Conv2d& shape, const float* x, const float* dy,
                                 float* dw) {
  constexpr const char* kName = "conv2d_grad_weight";
  constexpr int kThreads = 256;
  const std::int64_t count = shape.weight_count();
  if (count == 0) return;
  if (shape.batch == 0) {
    launch(queue, kName, add_runs_kernel, gpu::blocks_for(count, kThreads), kThreads, 0, count, 0, dw, dw);
    return;
  }
  const auto to_int = [](std::int64_t i) { return static_cast<int>(i); };
  const WeightGradient k{.batch = shape.batch,
                         .image_stride = shape.image_stride,
                         .channel_stride = shape.channel_stride,
                         .channels = to_int(shape.in_channels),
                         .height = to_int(shape.in_height),
                         .width = to_int(shape.in_width),
                         .kernel_height = to_int(shape.kernel_height),
                         .kernel_width = to_int(shape.kernel_width),
                         .padding_height = to_int(shape.padding_height),
                         .padding_width = to_int(shape.padding_width),
                         .out_channels = to_int(shape.out_channels),
                         .out_height = to_int(shape.out_height()),
                         .out_width = to_int(shape.out_width())};
  const Tiling t = plan_tiling(k);
  const Scratch<float> partial(queue, t.runs > 1 ? t.runs * count : 0, kName);
  float* const sums = t.runs > 1 ? partial.data() : dw;
  const dim3 grid(static_cast<unsigned>(gpu::ceil_div(k.channels, t.channels) * t.pieces),
                  static_cast<unsigned>(gpu::ceil_div(k.out_channels, kOut)), static_cast<unsigned>(t.runs));
  const int floats = t.rows * t.columns * kOut + t.channels * t.in_rows() * t.pitch;
  launch(queue, kName, grad_weight_kernel, grid, static_cast<unsigned>(gpu::ceil_div(t.threads, 32) * 32),
         static_cast<std::size_t>(floats) * sizeof(float), k, t, x, dy, sums);
  if (t.runs > 1)
    launch(queue, kName, add_runs_kernel, gpu::blocks_for(count, kThreads), kThreads, 0, count, t.runs, sums,
           dw);
}

}  // namespace fovea
