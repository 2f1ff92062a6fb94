// SPDX-License-Identifier: Apache-2.0
#include "kernels/conv2d_algorithm.h"
#include "kernels/cpu/conv2d_by_fft.h"
#include "kernels/cpu/conv2d_cost.h"
#include "kernels/cpu/conv2d_pointwise.h"
#include "kernels/cpu/conv2d_slopes.h"
#include "kernels/cpu/conv2d_tile.h"
#include "kernels/cpu/queue.h"
#include "kernels/ops/conv2d.h"

/// Weight gradient, here for few output channels; kernels/cpu/conv2d_slopes.h has the form for many. Both
/// operands are copied into vector order once (Note [What the lanes hold]), then each
/// part, one input channel and kernel row for one tile of output channels, walks over the pixels.
namespace fovea::cpu {
namespace {

constexpr Index kLanes = Vec::kLanes;
constexpr Index kColumnsAtOnce = 24;  // of the kernel: 8·24 vectors are 12 KiB of sums
constexpr Index kVectorsAtOnce = 96;  // of dy, per output channel, before the sums go back to memory

/// dw summed over some blocks of images, for one tile of output channels, one input channel and kernel row.
///
/// A few kernel columns are summed in registers over some rows of pixels, then wait in the first-level cache,
/// lanes not yet added, while the other columns meet the same pixels.
struct WeightGradient {
  Conv2d shape;
  Windows windows;
  Packed x, dy;
  const Index* column_of;  // where the taps of each column of the kernel begin
  Index tiles, runs;       // of the output channels of a group; of blocks

  Index parts_per_run() const { return tiles * shape.kernel_height * shape.in_channels; }
  void part(Index part, const float* packed_x, const float* packed_dy, float* partial) const;
  void columns(Index run, Index out, int width, Index c, Index r, Index s_begin, Index s_end,
               const float* packed_x, const float* packed_dy, float* sums) const;
};

void WeightGradient::columns(Index run, Index out, int width, Index c, Index r, Index s_begin, Index s_end,
                             const float* packed_x, const float* packed_dy, float* sums) const {
  const Index per_vector = x.lanes_are_images ? 1 : kLanes;
  const Index vectors = blocks_of(windows.out_width, per_vector);
  store_zeros(sums, (s_end - s_begin) * width * kLanes);
  const Range seen = inside(r * windows.dilation.height - windows.padding_top, windows.stride.height,
                            windows.out_height, shape.in_height);
  const Index rows = blocks_of(kVectorsAtOnce, vectors);
  const Index block_end = (run + 1) * x.blocks / runs;
  for (Index block = run * x.blocks / runs; block < block_end; ++block)
    for (Index p = seen.begin; p < seen.end; p += rows) {
      const float* x_rows = packed_x + block * x.block + c * x.channel + p * x.out_row + r * x.tap_row;
      const float* dy_rows = packed_dy + block * dy.block + out * dy.channel + p * dy.row;
      for (Index s = s_begin; s < s_end; s += tile_vectors(width)) {
        const int some = static_cast<int>(least(tile_vectors(width), s_end - s));
        Range pixels{0, vectors};
        if (x.lanes_are_images) {  // those that meet only padding are left out
          const Index apart = windows.dilation.width, left = windows.padding_left;
          const Index step = windows.stride.width;
          pixels.begin = inside((s + some - 1) * apart - left, step, vectors, shape.in_width).begin;
          pixels.end = inside(s * apart - left, step, vectors, shape.in_width).end;
        }
        sum_pixels_for(width, some)({.rows = least(rows, seen.end - p),
                                     .steps = pixels.end - pixels.begin,
                                     .x_row = x.out_row,
                                     .step = x.vector,
                                     .dy_row = dy.row,
                                     .dy_out = dy.channel,
                                     .columns = column_of + s},
                                    x_rows + pixels.begin * x.vector, dy_rows + pixels.begin * kLanes,
                                    sums + (s - s_begin) * width * kLanes);
      }
    }
}

/// sums[i] = sum of the lanes of vector i, in a fixed tree.
void add_lanes(float* sums, Index count) {
  for (Index i = 0; i < count; i += kLanes) {
    Vec square[kLanes];
    for (Index j = 0; j < kLanes; ++j)
      square[j] = i + j < count ? Vec::load(sums + (i + j) * kLanes) : Vec::zero();
    transpose(square);
    for (Index step = kLanes / 2; step > 0; step /= 2)
      for (Index j = 0; j < step; ++j) square[j] = square[j] + square[j + step];
    square[0].store(sums + i);  // vectors up to i + kLanes have been read
  }
}

void WeightGradient::part(Index part, const float* packed_x, const float* packed_dy, float* partial) const {
  alignas(64) float sums[kColumnsAtOnce * kTileOut * kLanes];
  const Index c = part % shape.in_channels, r = part / shape.in_channels % shape.kernel_height;
  const Index tile = part / shape.in_channels / shape.kernel_height % tiles;
  const Index run = part / shape.in_channels / shape.kernel_height / tiles;
  const Index inputs = shape.group_inputs(), outputs = shape.group_outputs();
  const Index first = first_of_tile(tile, outputs), out = c / inputs * outputs + first;
  const int width = tile_out(first, outputs);
  const Index kernel_width = shape.kernel_width;
  float* to = partial + run * shape.weight_count();
  for (Index s = 0; s < kernel_width; s += kColumnsAtOnce) {
    const Index end = least(kernel_width, s + kColumnsAtOnce);
    columns(run, out, width, c, r, s, end, packed_x, packed_dy, sums);
    add_lanes(sums, (end - s) * width);
    for (int o = 0; o < width; ++o)
      for (Index i = s; i < end; ++i)
        to[(((out + o) * inputs + c % inputs) * shape.kernel_height + r) * kernel_width + i] =
            sums[(i - s) * width + o];
  }
}

constexpr Index kPartialFloats = 1 << 20;

/// dw = the sums of all runs, in order.
void add_runs(Pool& pool, Index count, Index runs, const float* sums, float* dw) {
  constexpr Index kPart = 1 << 14;
  for_parts(pool, blocks_of(count, kPart), [&](Index part) {
    const Index end = least(count, (part + 1) * kPart);
    for (Index i = part * kPart; i < end; i += kLanes) {
      const int some = static_cast<int>(least(kLanes, end - i));
      Vec total = Vec::load_first(sums + i, some);
      for (Index k = 1; k < runs; ++k) total = total + Vec::load_first(sums + k * count + i, some);
      total.store_first(dw + i, some);
    }
  });
}

void grad_weight_pointwise(Pool& pool, const Conv2d& shape, const float* x, const float* dy, float* dw) {
  constexpr Index kEnoughRuns = 16;
  const Index count = shape.weight_count();
  const Index runs = most(1, least(least(kEnoughRuns, shape.batch), kPartialFloats / count));
  const Scratch<float> partial(pool, runs > 1 ? runs * count : 0, "conv2d_grad_weight");
  float* const sums = runs > 1 ? partial.data() : dw;
  multiply_slopes(pool, shape, runs, x, dy, sums);
  if (runs > 1) add_runs(pool, count, runs, sums, dw);
}

void grad_weight(Pool& pool, const Conv2d& shape, const float* x, const float* dy, float* dw) {
  const Index count = shape.weight_count(), out_height = shape.out_height(), out_width = shape.out_width();
  if (shape.batch == 0 || out_height <= 0 || out_width <= 0) return store_zeros(dw, count);
  if (lanes_hold_channels(shape.group_outputs(), shape.batch, out_width)) {
    const Slopes slopes(shape, x, dy);
    if (slopes.fits()) return add_slopes(pool, slopes, dw);
  }
  const Images x_images = images_of(shape, x), dy_images = slopes_of(shape, dy);
  const bool images = lanes_hold_images(shape.batch, out_width);
  const Windows windows = windows_of(shape), pixels{out_height, out_width, 1, 1, 1, 1, 0, 0};
  const Scratch<Index> columns(pool, shape.kernel_width, "conv2d_grad_weight");
  WeightGradient g{.shape = shape,
                   .windows = windows,
                   .x = plan_packing(x_images, images, windows, Order::channels_outside),
                   .dy = plan_packing(dy_images, images, pixels, Order::channels_outside),
                   .column_of = columns.data(),
                   .tiles = out_tiles(shape.group_outputs()),
                   .runs = 1};
  fill_columns(g.x, windows, columns.data());
  // A run per block of images keeps the block's dy in the second-level cache, as long as the partial sums
  // stay small; otherwise runs only serve to give many threads something to do.
  constexpr Index kEnoughParts = 128;
  const Index wanted = images ? g.x.blocks : blocks_of(kEnoughParts, most(1, g.parts_per_run()));
  g.runs = most(1, least(least(wanted, g.x.blocks), kPartialFloats / most(1, count)));
  const Scratch<float> packed_x(pool, g.x.floats, "conv2d_grad_weight");
  const Scratch<float> packed_dy(pool, g.dy.floats, "conv2d_grad_weight");
  const Scratch<float> partial(pool, g.runs > 1 ? g.runs * count : 0, "conv2d_grad_weight");
  float* const sums = g.runs > 1 ? partial.data() : dw;
  for_parts(pool, g.x.parts() + g.dy.parts(), [&](Index part) {
    if (part < g.x.parts())
      pack_part(x_images, g.x, windows, part, packed_x.data());
    else
      pack_part(dy_images, g.dy, pixels, part - g.x.parts(), packed_dy.data());
  });
  for_parts(pool, g.runs * g.parts_per_run(),
            [&](Index part) { g.part(part, packed_x.data(), packed_dy.data(), sums); });
  if (g.runs > 1) add_runs(pool, count, g.runs, sums, dw);
}

}  // namespace
}  // namespace fovea::cpu

namespace fovea::kernels {

void conv2d_grad_weight(cpu::Queue& q, const Conv2d& shape, const float* x, const float* dy, float* dw) {
  const ConvAlgorithm algorithm = chosen_algorithm(shape, cpu::kLanes, cpu::direct_cost_grad_weight(shape));
  if (algorithm == ConvAlgorithm::fft)
    cpu::grad_weight_by_fft(q, shape, x, dy, dw);
  else if (algorithm == ConvAlgorithm::gemm)
    cpu::grad_weight_pointwise(q, shape, x, dy, dw);
  else
    cpu::grad_weight(q, shape, x, dy, dw);
}

}  // namespace fovea::kernels
