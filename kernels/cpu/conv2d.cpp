// SPDX-License-Identifier: Apache-2.0
#include "kernels/ops/conv2d.h"

#include "kernels/conv2d_algorithm.h"
#include "kernels/cpu/conv2d_by_fft.h"
#include "kernels/cpu/conv2d_channels.h"
#include "kernels/cpu/conv2d_cost.h"
#include "kernels/cpu/conv2d_pointwise.h"
#include "kernels/cpu/conv2d_tile.h"
#include "kernels/cpu/queue.h"
#include "kernels/ops/fill.h"

/// Forward pass and input gradient: direct convolution. What the lanes hold is chosen by cost (Note [What the
/// lanes hold]); here are the tiles for few output channels: each pass copies its operands into vector order
/// once and then reads them O·3 multiply-adds at a time.
///
/// Partitions follow from the shape: a part is one output row, or a strip of narrow ones, of one block of
/// images for one tile of channels.
namespace fovea::cpu {
namespace {

constexpr Index kLanes = Vec::kLanes;
constexpr Index kChunk = 48;  // vectors of a row that are summed before they are written: 16 tiles of three

/// How the outputs are cut into parts. Where one vector of pixels holds a whole row, the vectors of a tile
/// lie below each other, in strips of `rows`; else they lie side by side, and a strip is a row.
struct Strips {
  Packed p;
  const Index* columns;  // where the taps of each column of the kernel begin
  Index tiles, strips, rows, run_rows;
  bool down;

  Index tiles_per_group(const Correlation& k) const { return tiles / k.w.groups; }
};

void store_pixels(const float* from, float* to, Index count, Index step) {
  if (step == 1) return store_copy(from, to, count);
  for (Index j = 0; j < count; ++j) to[j * step] = from[j];
}

/// Writes the finished vectors of one chunk: sums[o][v], the first one at column q of row `row`.
void write_chunk(const Correlation& k, const Strips& s, Index block, Index out, int width, Index row, Index q,
                 Index vectors, const float* sums) {
  const Index last = k.windows.out_width - q;  // columns that exist
  for (int o = 0; o < width; ++o, sums += kChunk * kLanes) {
    float* to = k.y + (out + o) * k.channel + row * k.row + q * k.column;
    if (s.down) {
      for (Index v = 0; v < vectors; ++v)
        store_pixels(sums + v * kLanes, to + block * k.image + v * k.row, last, k.column);
    } else if (!s.p.lanes_are_images) {
      store_pixels(sums, to + block * k.image, least(last, vectors * kLanes), k.column);
    } else {
      const Index images = least(kLanes, k.x.count - block * kLanes);
      to += block * kLanes * k.image;
      for (Index j = 0; j < vectors; j += kLanes) {
        const Index some = least(kLanes, vectors - j);
        Vec square[kLanes];
        for (Index i = 0; i < kLanes; ++i)
          square[i] = i < some ? Vec::load(sums + (j + i) * kLanes) : Vec::zero();
        transpose(square);
        if (k.column == 1) {
          for (Index i = 0; i < images; ++i)
            square[i].store_first(to + i * k.image + j, static_cast<int>(some));
        } else {
          for (Index i = 0; i < images; ++i) {
            alignas(64) float pixels[kLanes];
            square[i].store(pixels);
            store_pixels(pixels, to + i * k.image + j * k.column, some, k.column);
          }
        }
      }
    }
  }
}

/// One strip of outputs of one block and tile of channels.
void correlate_strip(const Correlation& k, const Strips& s, const float* packed, const float* packed_weights,
                     const float* bias, Index block, Index tile, Index row) {
  alignas(64) float sums[kTileOut * kChunk * kLanes];
  const Windows& win = k.windows;
  const Index group = tile / s.tiles_per_group(k);
  const Index first_out = first_of_tile(tile % s.tiles_per_group(k), k.w.out_channels);
  const Index out = group * k.w.out_channels + first_out;
  const int width = tile_out(first_out, k.w.out_channels);
  const Index per_vector = s.p.lanes_are_images ? 1 : kLanes;  // columns of output
  const Index vectors = s.down ? least(s.rows, win.out_height - row) : blocks_of(win.out_width, per_vector);
  const float* const from = packed + block * s.p.block + group * s.p.group + row * s.p.out_row;
  Taps taps{{}, {}, s.down ? s.p.out_row : s.p.vector, s.run_rows};
  for (Index chunk = 0; chunk < vectors; chunk += kChunk) {
    const Index end = least(vectors, chunk + kChunk);
    for (Index v = chunk; v < end; v += tile_vectors(width)) {
      const int some = static_cast<int>(least(tile_vectors(width), end - v));
      // Outputs of this tile: the first and last row and column.
      const Index top = s.down ? row + v : row, bottom = s.down ? top + some - 1 : row;
      const Index left = s.down ? 0 : v * per_vector;
      const Index right = (s.down ? 1 : v + some) * per_vector - 1;
      const auto taps_from = [](Index first, Index last, Index stride, Index padding, Index dilation,
                                Index count, Index extent) {
        return Range{inside(last * stride - padding, dilation, count, extent).begin,
                     inside(first * stride - padding, dilation, count, extent).end};
      };
      taps.rows = taps_from(top, bottom, win.stride.height, win.padding_top, win.dilation.height,
                            win.kernel_height, k.x.height);
      taps.columns = taps_from(left, right, win.stride.width, win.padding_left, win.dilation.width,
                               win.kernel_width, k.x.width);
      sum_taps_for(width, some)(s.p, taps, s.columns, win.kernel_width, k.w.in_channels,
                                from + v * taps.vector, packed_weights + out * k.w.count_per_out(),
                                bias != nullptr ? bias + out : nullptr, sums + (v - chunk) * kLanes, kChunk);
    }
    write_chunk(k, s, block, out, width, row, s.down ? 0 : chunk * per_vector, end - chunk, sums);
  }
}

/// Lanes that hold images or pixels.
void correlate_tiles(Pool& pool, const Correlation& k, Lanes lanes, const float* bias) {
  const Windows& win = k.windows;
  Strips s;
  s.p = plan_packing(k.x, lanes == Lanes::images, win, Order::channels_inside);
  s.tiles = k.w.groups * out_tiles(k.w.out_channels);
  s.down = !s.p.lanes_are_images && win.out_width <= kLanes;
  s.rows = s.down ? 2 * tile_vectors(tile_out(0, k.w.out_channels)) : 1;
  s.strips = blocks_of(win.out_height, s.rows);
  s.run_rows = k.w.groups == 1 ? 1 : most(1, kRunTerms / (k.w.in_channels * win.kernel_width));
  const Scratch<float> packed(pool, s.p.floats, "conv2d");
  const Scratch<float> weights(pool, k.w.groups * k.w.out_channels * k.w.count_per_out(), "conv2d");
  const Scratch<Index> columns(pool, win.kernel_width, "conv2d");
  fill_columns(s.p, win, columns.data());
  s.columns = columns.data();
  const Index per_group = s.tiles_per_group(k);
  for_parts(pool, s.p.parts() + s.tiles, [&](Index part) {
    if (part < s.tiles)
      pack_weights(k.w, part / per_group, first_of_tile(part % per_group, k.w.out_channels), weights.data());
    else
      pack_part(k.x, s.p, win, part - s.tiles, packed.data());
  });
  for_parts(pool, s.p.blocks * s.tiles * s.strips, [&](Index part) {
    const Index strip = part % s.strips, tile = part / s.strips % s.tiles;
    correlate_strip(k, s, packed.data(), weights.data(), bias, part / s.strips / s.tiles, tile,
                    strip * s.rows);
  });
}

void correlate(Pool& pool, const Correlation& k, const float* bias) {
  const Windows& win = k.windows;
  if (k.x.count == 0 || win.out_height <= 0 || win.out_width <= 0) return;
  const Work work{k.x.count, k.w.groups, k.w.in_channels, k.w.out_channels, k.x.height, k.x.width, win};
  Lanes lanes = lanes_of(work);
  if (lanes == Lanes::channels) {
    const Channels channels(k);
    if (channels.fits()) return channels.run(pool, bias);
    lanes = lanes_hold_images(k.x.count, win.out_width) ? Lanes::images : Lanes::pixels;
  }
  if (lanes == Lanes::images || !splits(work)) return correlate_tiles(pool, k, lanes, bias);
  Correlation main = k, rest = k;
  main.windows = main_of(work).windows;
  rest.windows = rest_of(work).windows;
  rest.x.turned = true;
  rest.x.height = k.x.width;
  rest.x.width = k.x.height;
  rest.w.kernel_height = k.w.kernel_width;
  rest.w.kernel_width = k.w.kernel_height;
  rest.w.row = k.w.column;
  rest.w.column = k.w.row;
  rest.y += main.windows.out_width * k.column;
  rest.row = k.column;
  rest.column = k.row;
  correlate_tiles(pool, main, Lanes::pixels, bias);
  correlate_tiles(pool, rest, Lanes::pixels, bias);
}

/// The weights as the forward pass reads them.
Weights forward_weights(const Conv2d& shape, const float* w) {
  const Index taps = shape.kernel_height * shape.kernel_width, per_out = shape.group_inputs() * taps;
  return {.data = w,
          .groups = shape.groups,
          .out_channels = shape.group_outputs(),
          .in_channels = shape.group_inputs(),
          .kernel_height = shape.kernel_height,
          .kernel_width = shape.kernel_width,
          .group = shape.group_outputs() * per_out,
          .out = per_out,
          .in = taps,
          .row = shape.kernel_width,
          .column = 1};
}

/// Each phase of dx is the correlation of dy with some of the weights, turned by 180 degrees.
void grad_input(Pool& pool, const Conv2d& shape, const float* w, const float* dy, float* dx) {
  const Index plane = shape.in_height * shape.in_width;
  const Weights forward = forward_weights(shape, w);
  for_phases(shape, [&](const Phase& v, const Phase& h) {
    correlate(
        pool,
        {.x = slopes_of(shape, dy),
         .w = {.data = w + v.last_tap * shape.kernel_width + h.last_tap,
               .groups = shape.groups,
               .out_channels = forward.in_channels,
               .in_channels = forward.out_channels,
               .kernel_height = v.taps,
               .kernel_width = h.taps,
               .group = forward.group,
               .out = forward.in,
               .in = forward.out,
               .row = -v.tap_step * shape.kernel_width,
               .column = -h.tap_step},
         .windows = {v.count, h.count, v.taps, h.taps, 1, {v.dilation, h.dilation}, v.padding, h.padding},
         .y = dx + v.first * shape.in_width + h.first,
         .image = shape.in_channels * plane,
         .channel = plane,
         .row = shape.stride.height * shape.in_width,
         .column = shape.stride.width},
        nullptr);
  });
}

}  // namespace
}  // namespace fovea::cpu

namespace fovea::kernels {

void conv2d(cpu::Queue& q, const Conv2d& shape, const float* x, const float* w, const float* bias, float* y) {
  const std::int64_t plane = shape.out_height() * shape.out_width();
  const ConvAlgorithm algorithm = chosen_algorithm(shape, cpu::kLanes, cpu::direct_cost_forward(shape));
  if (algorithm == ConvAlgorithm::fft) return cpu::conv2d_by_fft(q, shape, x, w, bias, y);
  if (algorithm == ConvAlgorithm::gemm)
    return cpu::multiply_images(q,
                                {.images = shape.batch,
                                 .m = shape.out_channels,
                                 .k = shape.in_channels,
                                 .plane = plane,
                                 .image_stride = shape.image_stride,
                                 .channel_stride = shape.channel_stride,
                                 .transpose = false},
                                w, x, bias, y);
  cpu::correlate(q,
                 {.x = cpu::images_of(shape, x),
                  .w = cpu::forward_weights(shape, w),
                  .windows = cpu::windows_of(shape),
                  .y = y,
                  .image = shape.out_channels * plane,
                  .channel = plane,
                  .row = shape.out_width(),
                  .column = 1},
                 bias);
}

void conv2d_grad_input(cpu::Queue& q, const Conv2d& shape, const float* w, const float* dy, float* dx) {
  const std::int64_t plane = shape.out_height() * shape.out_width();
  const ConvAlgorithm algorithm = chosen_algorithm(shape, cpu::kLanes, cpu::direct_cost_grad_input(shape));
  if (algorithm == ConvAlgorithm::fft) return cpu::grad_input_by_fft(q, shape, w, dy, dx);
  if (algorithm == ConvAlgorithm::gemm)
    return cpu::multiply_images(q,
                                {.images = shape.batch,
                                 .m = shape.in_channels,
                                 .k = shape.out_channels,
                                 .plane = plane,
                                 .image_stride = shape.out_channels * plane,
                                 .channel_stride = plane,
                                 .transpose = true},
                                w, dy, nullptr, dx);
  if (has_gaps(shape))
    fill(q, shape.batch * shape.in_channels * shape.in_height * shape.in_width, 0.0, dx, DType::f32);
  cpu::grad_input(q, shape, w, dy, dx);
}

}  // namespace fovea::kernels
