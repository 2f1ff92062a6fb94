// SPDX-License-Identifier: Apache-2.0
#include "kernels/ops/conv2d.h"

#include "kernels/cuda/conv2d_mma.cuh"
#include "kernels/cuda/conv2d_tile.cuh"
#include "kernels/ops/fill.h"

/// Forward pass and input gradient. A block computes a tile of outputs of one image for kOut channels: each
/// thread kSlide outputs below each other (Note [Sliding rows]), neighbouring threads neighbouring columns.
/// Channels come through shared memory in stages, with the piece of each plane and all its taps. The input
/// gradient of a strided convolution is several correlations (Note [Phases of a strided gradient]).
///
/// 40→8 channels, 15x15 on 50x50: 187 MFLOP an image, 0.40 MB read and 0.04 written once: bound by
/// arithmetic. A stage of one channel is 1300 inputs and 1800 weights for 0.78 M multiply-adds, so plain
/// 4-byte copies into shared memory cost under 2 % (rows of 50 floats are not aligned to 16 bytes anyway).
/// Predicted: 16 % of the lanes have no output column (108 of 128), 15 % of the instructions are no
/// multiply-adds, some 5 % of the time goes to stages: 65 % of the fp32 roof from batch 128 on (2.7 ms at
/// batch 512 on a roof of 55 TFLOP/s); at batch 32 the 96 blocks leave a quarter of an H100 empty.
///
/// Depthwise 7x7 on 14x14: 8 bytes and 98 FLOP a pixel. A block is one plane: 400 staged values, two warps.
/// Predicted: bound by memory, half of its roof, since a block loads, waits and computes once, and others
/// must fill in. With a horizontal stride of 2, lanes read every second word, two wavefronts for one: still
/// 4 of 32 issue slots.
///
/// In tf32 and bf16 conv2d_mma.cu does all this, but for narrow groups.
namespace fovea {
namespace {

using gpu::Correlation;
using gpu::kSlide;
constexpr int kMaxThreads = 256, kFewThreads = 128;
constexpr int kRunTerms = 256;

/// A block's outputs are kSlide·groups rows by `columns`; a stage is `channels` planes and taps_down by
/// taps_across taps.
struct Tiling {
  int columns, groups, across, down;
  unsigned blocks;  // for each tile of outputs
  int out_tiles;    // of a group
  int channels, taps_down, taps_across;
  gpu::Span rows, width;  // of a plane's piece
  int pitch;              // of it in shared memory
};

/// kUnit: stride and dilation are 1.
template <int kOut, bool kUnit>
__global__ void __launch_bounds__(kMaxThreads, 2)
    correlate_kernel(Correlation k, Tiling t, const float* __restrict__ x, const float* __restrict__ w,
                     const float* __restrict__ bias, float* __restrict__ y) {
  FOVEA_DYNAMIC_SHARED(float, shared);
  float* const weights = shared;
  float* const pieces = shared + t.channels * t.taps_down * t.taps_across * kOut;
  // Neighbouring blocks are tiles and images of the same outputs. All are along x: y ends at 65535.
  const unsigned slab = blockIdx.x / t.blocks, block = blockIdx.x - slab * t.blocks;
  const int tiles = t.across * t.down, tile = static_cast<int>(block % tiles);
  const std::int64_t image = block / tiles;
  const int top = tile / t.across * t.groups * kSlide, left = tile % t.across * t.columns;
  const int channel_group = static_cast<int>(slab) / t.out_tiles;
  const int out = static_cast<int>(slab) % t.out_tiles * kOut;  // in its group
  const int group = static_cast<int>(threadIdx.x) / t.columns;
  const int column = static_cast<int>(threadIdx.x) - group * t.columns;
  const bool active = group < t.groups && left + column < k.out_width;
  const int rows = t.rows.extent;
  x += image * k.image_stride + std::int64_t{channel_group} * k.channels * k.channel_stride;
  w += channel_group * k.w_group;
  y += image * k.y_image + (std::int64_t{channel_group} * k.outputs + out) * k.y_channel;

  // A chain of sums ends with the stage in which it reaches kRunTerms terms and is added to y (Note [Short
  // runs] in kernels/cpu/conv2d_tile.h): 64 accesses to y, which stays in the cache, per 8000 multiply-adds
  // or more.
  float sums[kSlide][kOut] = {};
  int terms = 0;
  bool first = true;
  for (int c_begin = 0; c_begin < gpu::larger(k.channels, 1); c_begin += t.channels)
    for (int r_begin = 0; r_begin < k.kernel_height; r_begin += t.taps_down)
      for (int s_begin = 0; s_begin < k.kernel_width; s_begin += t.taps_across) {
        const int channels = min(t.channels, k.channels - c_begin);
        const int taps_down = min(t.taps_down, k.kernel_height - r_begin);
        const int taps_across = min(t.taps_across, k.kernel_width - s_begin);
        const gpu::Planes planes{x + c_begin * k.channel_stride, k.channel_stride, k.height, k.width};
        __syncthreads();  // the last stage has been read
        gpu::stage_planes(planes, channels,
                          top * k.stride_height + r_begin * k.dilation_height - k.padding_top,
                          left * k.stride_width + s_begin * k.dilation_width - k.padding_left, rows,
                          t.width.extent, t.rows.step, t.width.step, t.pitch, pieces);
        gpu::stage_taps<kOut>(
            {w + out * k.w_out + c_begin * k.w_in + r_begin * k.w_row + s_begin * k.w_column, k.w_out, k.w_in,
             k.w_row, k.w_column},
            k.outputs - out, channels, taps_down, taps_across, weights);
        __syncthreads();
        if (!active) continue;
        const int step = taps_across * kOut;
        for (int c = 0; c < channels; ++c)
          for (int s = 0; s < taps_across; ++s) {
            const float* const b = weights + c * taps_down * step + s * kOut;
            if constexpr (kUnit) {
              gpu::slide(taps_down, pieces + (c * rows + group * kSlide) * t.pitch + column + s, t.pitch, b,
                         step, sums);
            } else {
              const int window = k.stride_height / t.rows.step * t.pitch;
              const float* const a = pieces + c * rows * t.pitch + group * kSlide * window +
                                     (column * k.stride_width + s * k.dilation_width) / t.width.step;
              gpu::slide_apart(taps_down, k.dilation_height == 1 ? k.stride_height : taps_down, a,
                               k.dilation_height / t.rows.step * t.pitch, window, b, step, sums);
            }
          }
        terms += channels * taps_down * taps_across;
        const bool last = c_begin + t.channels >= k.channels && r_begin + t.taps_down >= k.kernel_height &&
                          s_begin + t.taps_across >= k.kernel_width;
        if (terms < kRunTerms && !last) continue;
        float* to = y + (top + group * kSlide) * k.y_row + (left + column) * k.y_column;
        for (int o = 0; o < kOut; ++o, to += k.y_channel) {
          const float start =
              bias != nullptr && out + o < k.outputs ? bias[channel_group * k.outputs + out + o] : 0.0f;
          for (int j = 0; j < kSlide; ++j) {
            float* const total = to + j * k.y_row;
            if (out + o < k.outputs && top + group * kSlide + j < k.out_height)
              *total = (first ? start : *total) + sums[j][o];
            sums[j][o] = 0.0f;
          }
        }
        terms = 0;
        first = false;
      }
}

/// Shared memory of a stage, in floats; sets the pieces' extents.
std::int64_t stage_floats(const Correlation& k, Tiling& t, int out) {
  t.rows = gpu::span_of(kSlide * t.groups, t.taps_down, k.stride_height, k.dilation_height);
  t.width = gpu::span_of(t.columns, t.taps_across, k.stride_width, k.dilation_width);
  t.pitch = gpu::conflict_free_pitch(t.width.extent, t.columns);
  return t.channels *
         (std::int64_t{t.taps_down} * t.taps_across * out + std::int64_t{t.rows.extent} * t.pitch);
}

/// By shape alone. Many images: the fewest warps; few: small blocks, so that more multiprocessors have one.
Tiling plan_tiling(const Correlation& k, std::int64_t batch, int out) {
  Tiling t{};
  t.out_tiles = gpu::ceil_div(k.outputs, out);
  t.columns = gpu::ceil_div(k.out_width, gpu::ceil_div(k.out_width, 64));
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
  t.channels = 1;
  t.taps_down = k.kernel_height;
  t.taps_across = k.kernel_width;
  for (int* const extent : {&t.taps_down, &t.taps_across, &t.groups, &t.columns})
    while (*extent > 1 && stage_floats(k, t, out) > gpu::kSharedFloats) *extent = gpu::ceil_div(*extent, 2);
  const int floats = static_cast<int>(stage_floats(k, t, out));  // of a tap and a row at least: small
  t.channels = gpu::larger(1, gpu::smaller(k.channels, gpu::kSharedFloats / floats));
  t.across = gpu::ceil_div(k.out_width, t.columns);
  t.down = gpu::ceil_div(all, t.groups);
  return t;
}

template <int kOut>
void correlate_as(gpu::Queue& queue, const char* name, const Correlation& k, std::int64_t batch,
                  const float* x, const float* w, const float* bias, float* y) {
  Tiling t = plan_tiling(k, batch, kOut);
  const auto bytes = static_cast<std::size_t>(stage_floats(k, t, kOut)) * sizeof(float);
  const auto threads = static_cast<unsigned>(gpu::ceil_div(t.columns * t.groups, 32) * 32);
  const std::int64_t blocks = batch * t.across * t.down;
  t.blocks = gpu::grid_blocks(blocks);
  const unsigned grid = gpu::grid_blocks(blocks * k.groups * t.out_tiles);
  const bool unit =
      k.stride_height == 1 && k.stride_width == 1 && k.dilation_height == 1 && k.dilation_width == 1;
  if (unit)
    launch(queue, name, correlate_kernel<kOut, true>, grid, threads, bytes, k, t, x, w, bias, y);
  else
    launch(queue, name, correlate_kernel<kOut, false>, grid, threads, bytes, k, t, x, w, bias, y);
}

void correlate(gpu::Queue& queue, const char* name, bool mma, const Correlation& k, std::int64_t batch,
               const float* x, const float* w, const float* bias, float* y) {
  if (batch == 0 || k.out_height <= 0 || k.out_width <= 0) return;
  if (mma) return gpu::correlate_mma(queue, name, k, batch, x, w, bias, y);
  if (gpu::out_per_thread(k.outputs) == 1)
    correlate_as<1>(queue, name, k, batch, x, w, bias, y);
  else
    correlate_as<gpu::kManyOut>(queue, name, k, batch, x, w, bias, y);
}

bool use_mma(const gpu::Queue& queue, const Conv2d& shape) {
  return queue.math() != Math::fp32 && gpu::mma_serves(shape);
}

}  // namespace

void kernels::conv2d(gpu::Queue& queue, const Conv2d& shape, const float* x, const float* w,
                     const float* bias, float* y) {
  const std::int64_t taps = shape.kernel_height * shape.kernel_width, per_out = shape.group_inputs() * taps;
  const std::int64_t plane = shape.out_height() * shape.out_width();
  correlate(queue, "conv2d", use_mma(queue, shape),
            {gpu::conv_geometry(shape),
             {.w_group = shape.group_outputs() * per_out,
              .w_out = per_out,
              .w_in = taps,
              .w_row = shape.kernel_width,
              .w_column = 1,
              .y_image = shape.out_channels * plane,
              .y_channel = plane,
              .y_row = shape.out_width(),
              .y_column = 1}},
            shape.batch, x, w, bias, y);
}

// Each phase is the correlation of dy with some of the weights, turned by 180 degrees.
void kernels::conv2d_grad_input(gpu::Queue& queue, const Conv2d& shape, const float* w, const float* dy,
                                float* dx) {
  const std::int64_t taps = shape.kernel_height * shape.kernel_width, per_out = shape.group_inputs() * taps;
  const std::int64_t plane = shape.out_height() * shape.out_width(),
                     in_plane = shape.in_height * shape.in_width;
  using gpu::to_int;
  if (has_gaps(shape)) fill(queue, shape.batch * shape.in_channels * in_plane, 0.0, dx, DType::f32);
  for_phases(shape, [&](const Phase& v, const Phase& h) {
    correlate(queue, "conv2d_grad_input", use_mma(queue, shape),
              {{.image_stride = shape.out_channels * plane,
                .channel_stride = plane,
                .groups = to_int(shape.groups),
                .channels = to_int(shape.group_outputs()),
                .height = to_int(shape.out_height()),
                .width = to_int(shape.out_width()),
                .kernel_height = to_int(v.taps),
                .kernel_width = to_int(h.taps),
                .padding_top = to_int(v.padding),
                .padding_left = to_int(h.padding),
                .stride_height = 1,
                .stride_width = 1,
                .dilation_height = v.taps > 1 ? to_int(v.dilation) : 1,
                .dilation_width = h.taps > 1 ? to_int(h.dilation) : 1,
                .outputs = to_int(shape.group_inputs()),
                .out_height = to_int(v.count),
                .out_width = to_int(h.count)},
               {.w_group = shape.group_outputs() * per_out,
                .w_out = taps,
                .w_in = per_out,
                .w_row = -v.tap_step * shape.kernel_width,
                .w_column = -h.tap_step,
                .y_image = shape.in_channels * in_plane,
                .y_channel = in_plane,
                .y_row = shape.stride.height * shape.in_width,
                .y_column = shape.stride.width}},
              shape.batch, dy, w + v.last_tap * shape.kernel_width + h.last_tap, nullptr,
              dx + v.first * shape.in_width + h.first);
  });
}

}  // namespace fovea
