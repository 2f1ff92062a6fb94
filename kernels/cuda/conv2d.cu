// SPDX-License-Identifier: Apache-2.0
#include "kernels/ops/conv2d.h"

#include "kernels/cuda/conv2d_tile.cuh"

/// Forward pass and input gradient. A block computes a tile of outputs of one image for kOut channels: each
/// thread kSlide outputs below each other (Note [Sliding rows]), neighbouring threads neighbouring columns.
/// Channels come through shared memory in stages, with the piece of each plane and all its taps.
///
/// 40→8 channels, 15x15 on 50x50: 187 MFLOP an image, 0.40 MB read and 0.04 written once: bound by
/// arithmetic. A stage of one channel is 1300 inputs and 1800 weights for 0.78 M multiply-adds, so plain
/// 4-byte copies into shared memory cost under 2 % (rows of 50 floats are not aligned to 16 bytes anyway).
/// Predicted: 16 % of the lanes have no output column (108 of 128), 15 % of the instructions are no
/// multiply-adds, some 5 % of the time goes to stages: 65 % of the fp32 roof from batch 128 on (2.7 ms at
/// batch 512 on a roof of 55 TFLOP/s); at batch 32 the 96 blocks leave a quarter of an H100 empty.
namespace fovea {
namespace {

using gpu::kOut, gpu::kSlide;
constexpr int kMaxThreads = 256, kFewThreads = 128;
constexpr int kRunTerms = 256;

/// y = bias + x ⋆ w. Weight (o, c, r, s) stands at w[o·w_out + c·w_in + r·w_row + s·w_column].
struct Correlation {
  std::int64_t image_stride, channel_stride;
  int channels, height, width;
  int kernel_height, kernel_width, padding_height, padding_width;
  int out_channels, out_height, out_width;
  std::int64_t w_out, w_in, w_row, w_column;
};

/// A block's outputs are kSlide·groups rows by `columns`; a stage is `channels` planes and `taps` kernel
/// rows.
struct Tiling {
  int columns, groups, across, down;
  int channels, taps;
  int pitch;  // of a plane's piece in shared memory

  __host__ __device__ int rows() const { return kSlide * groups + taps - 1; }
};

/// [channel][r][s][kOut], zeros for channels that do not exist.
__device__ __forceinline__ void stage_weights(const Correlation& k, const float* __restrict__ w, int out,
                                              int c_begin, int channels, int r_begin, int taps, float* to) {
  const int row = k.kernel_width, plane = taps * row;
  for (int i = static_cast<int>(threadIdx.x); i < channels * plane; i += static_cast<int>(blockDim.x)) {
    const int c = i / plane, at = i - c * plane, r = at / row, s = at - r * row;
    const float* from = w + (c_begin + c) * k.w_in + (r_begin + r) * k.w_row + s * k.w_column;
    for (int o = 0; o < kOut; ++o)
      to[i * kOut + o] = out + o < k.out_channels ? from[(out + o) * k.w_out] : 0.0f;
  }
}

__global__ void __launch_bounds__(kMaxThreads, 2)
    correlate_kernel(Correlation k, Tiling t, const float* __restrict__ x, const float* __restrict__ w,
                     const float* __restrict__ bias, float* __restrict__ y) {
  FOVEA_DYNAMIC_SHARED(float, shared);
  float* const weights = shared;
  float* const pieces = shared + t.channels * t.taps * k.kernel_width * kOut;
  const int tiles = t.across * t.down, tile = static_cast<int>(blockIdx.x % tiles);
  const std::int64_t image = blockIdx.x / tiles;
  const int top = tile / t.across * t.groups * kSlide, left = tile % t.across * t.columns;
  const int out = static_cast<int>(blockIdx.y) * kOut;
  const int group = static_cast<int>(threadIdx.x) / t.columns;
  const int column = static_cast<int>(threadIdx.x) - group * t.columns;
  const bool active = group < t.groups && left + column < k.out_width;
  const int rows = t.rows(), width = t.columns + k.kernel_width - 1;

  // A chain of sums ends with the stage in which it reaches kRunTerms terms and is added to y (Note [Short
  // runs] in kernels/cpu/conv2d_tile.h): 64 accesses to y, which stays in the cache, per 8000 multiply-adds
  // or more.
  float sums[kSlide][kOut] = {};
  int terms = 0;
  bool first = true;
  for (int c_begin = 0; c_begin < gpu::larger(k.channels, 1); c_begin += t.channels)
    for (int r_begin = 0; r_begin < k.kernel_height; r_begin += t.taps) {
      const int channels = min(t.channels, k.channels - c_begin),
                taps = min(t.taps, k.kernel_height - r_begin);
      const gpu::Planes planes{x + image * k.image_stride + c_begin * k.channel_stride, k.channel_stride,
                               k.height, k.width};
      __syncthreads();  // the last stage has been read
      gpu::stage_planes(planes, channels, top + r_begin - k.padding_height, left - k.padding_width, rows,
                        width, t.pitch, pieces);
      stage_weights(k, w, out, c_begin, channels, r_begin, taps, weights);
      __syncthreads();
      if (!active) continue;
      const int step = k.kernel_width * kOut;
      for (int c = 0; c < channels; ++c)
        for (int s = 0; s < k.kernel_width; ++s)
          gpu::slide(taps, pieces + (c * rows + group * kSlide) * t.pitch + column + s, t.pitch,
                     weights + c * taps * step + s * kOut, step, sums);
      terms += channels * taps * k.kernel_width;
      const bool last = c_begin + t.channels >= k.channels && r_begin + t.taps >= k.kernel_height;
      if (terms < kRunTerms && !last) continue;
      float* to = y + ((image * k.out_channels + out) * k.out_height + top + group * kSlide) * k.out_width +
                  left + column;
      for (int o = 0; o < kOut; ++o, to += static_cast<std::int64_t>(k.out_height) * k.out_width) {
        const float start = bias != nullptr && out + o < k.out_channels ? bias[out + o] : 0.0f;
        for (int j = 0; j < kSlide; ++j) {
          float* const total = to + static_cast<std::int64_t>(j) * k.out_width;
          if (out + o < k.out_channels && top + group * kSlide + j < k.out_height)
            *total = (first ? start : *total) + sums[j][o];
          sums[j][o] = 0.0f;
        }
      }
      terms = 0;
      first = false;
    }
}

/// By shape alone. Many images: the fewest warps; few: small blocks, so that more multiprocessors have one.
Tiling plan_tiling(const Correlation& k, std::int64_t batch) {
  Tiling t{};
  t.across = gpu::ceil_div(k.out_width, 64);
  t.columns = gpu::ceil_div(k.out_width, t.across);
  const int all = gpu::ceil_div(k.out_height, kSlide);
  const int most_threads = batch >= 128 ? kMaxThreads : kFewThreads;
  int fewest = 0;
  for (int groups = 1; groups <= all && (groups == 1 || groups * t.columns <= most_threads); ++groups) {
    const int warps = gpu::ceil_div(all, groups) * gpu::ceil_div(groups * t.columns, 32);
    if (fewest == 0 || warps <= fewest) {
      fewest = warps;
      t.groups = groups;
    }
  }
  t.down = gpu::ceil_div(all, t.groups);
  t.pitch = gpu::conflict_free_pitch(t.columns + k.kernel_width - 1, t.columns);
  const auto floats = [&](int channels, int taps) {
    return channels * (taps * k.kernel_width * kOut + (kSlide * t.groups + taps - 1) * t.pitch);
  };
  t.channels = 1;
  t.taps = k.kernel_height;
  while (t.taps > 1 && floats(1, t.taps) > gpu::kSharedFloats) t.taps = gpu::ceil_div(t.taps, 2);
  while (t.channels < k.channels && floats(t.channels + 1, t.taps) <= gpu::kSharedFloats) ++t.channels;
  return t;
}

void correlate(gpu::Queue& queue, const char* name, const Correlation& k, std::int64_t batch, const float* x,
               const float* w, const float* bias, float* y) {
  if (batch == 0 || k.out_height <= 0 || k.out_width <= 0) return;
  const Tiling t = plan_tiling(k, batch);
  const int threads = gpu::ceil_div(t.columns * t.groups, 32) * 32;
  const int floats = t.channels * (t.taps * k.kernel_width * kOut + t.rows() * t.pitch);
  const dim3 grid(static_cast<unsigned>(batch * t.across * t.down),
                  static_cast<unsigned>(gpu::ceil_div(k.out_channels, kOut)));
  launch(queue, name, correlate_kernel, grid, static_cast<unsigned>(threads),
         static_cast<std::size_t>(floats) * sizeof(float), k, t, x, w, bias, y);
}

}  // namespace

void kernels::conv2d(gpu::Queue& queue, const Conv2d& shape, const float* x, const float* w,
                     const float* bias, float* y) {
  const std::int64_t taps = shape.kernel_height * shape.kernel_width;
  const auto to_int = [](std::int64_t i) { return static_cast<int>(i); };
  correlate(queue, "conv2d",
            {.image_stride = shape.image_stride,
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
             .out_width = to_int(shape.out_width()),
             .w_out = shape.in_channels * taps,
             .w_in = taps,
             .w_row = shape.kernel_width,
             .w_column = 1},
            shape.batch, x, w, bias, y);
}

// The correlation of dy with the weights turned by 180 degrees, padded so that every tap meets every pixel.
void kernels::conv2d_grad_input(gpu::Queue& queue, const Conv2d& shape, const float* w, const float* dy,
                                float* dx) {
  const std::int64_t taps = shape.kernel_height * shape.kernel_width;
  const std::int64_t plane = shape.out_height() * shape.out_width();
  const auto to_int = [](std::int64_t i) { return static_cast<int>(i); };
  correlate(queue, "conv2d_grad_input",
            {.image_stride = shape.out_channels * plane,
             .channel_stride = plane,
             .channels = to_int(shape.out_channels),
             .height = to_int(shape.out_height()),
             .width = to_int(shape.out_width()),
             .kernel_height = to_int(shape.kernel_height),
             .kernel_width = to_int(shape.kernel_width),
             .padding_height = to_int(shape.kernel_height - 1 - shape.padding_height),
             .padding_width = to_int(shape.kernel_width - 1 - shape.padding_width),
             .out_channels = to_int(shape.in_channels),
             .out_height = to_int(shape.in_height),
             .out_width = to_int(shape.in_width),
             .w_out = taps,
             .w_in = shape.in_channels * taps,
             .w_row = -shape.kernel_width,
             .w_column = -1},
            shape.batch, dy, w + taps - 1, nullptr, dx);
}

}  // namespace fovea
