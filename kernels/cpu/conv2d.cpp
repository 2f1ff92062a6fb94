// SPDX-License-Identifier: Apache-2.0
#include "kernels/ops/conv2d.h"

#include "kernels/cpu/conv2d_tile.h"
#include "kernels/cpu/queue.h"

/// Direct convolution, register-blocked for few output channels. Each pass copies its operands into vector
/// order once (Note [What the lanes hold]) and then reads them O·3 multiply-adds at a time.
///
/// Partitions follow from the shape: a part is one output row of one block of images for one tile of
/// channels, or one (channel, kernel row) of the weight gradient.
namespace fovea::cpu {
namespace {

constexpr Index kLanes = Vec::kLanes;

/// y = bias + x ⋆ w, where x and w may also be dy and the rotated weights.
struct Correlation {
  Images x;
  Weights w;
  Index padding_height, padding_width, out_height, out_width;
};

/// Writes the finished vectors of one chunk of a row: sums[o][v] for `vectors` vectors from column q.
void write_row(const Correlation& k, const Packed& p, Index block, Index out, int width, Index row, Index q,
               Index columns, const float* sums, Index sums_row, float* y) {
  const Index plane = k.out_height * k.out_width;
  for (int o = 0; o < width; ++o, sums += sums_row * kLanes) {
    if (!p.lanes_are_images) {
      float* to = y + (block * k.w.out_channels + out + o) * plane + row * k.out_width + q;
      store_copy(sums, to, columns);
      continue;
    }
    const Index images = least(kLanes, k.x.count - block * kLanes);
    float* to = y + (block * kLanes * k.w.out_channels + out + o) * plane + row * k.out_width + q;
    for (Index j = 0; j < columns; j += kLanes) {
      const Index some = least(kLanes, columns - j);
      Vec square[kLanes];
      for (Index i = 0; i < kLanes; ++i)
        square[i] = i < some ? Vec::load(sums + (j + i) * kLanes) : Vec::zero();
      transpose(square);
      for (Index i = 0; i < images; ++i)
        square[i].store_first(to + i * k.w.out_channels * plane + j, static_cast<int>(some));
    }
  }
}

/// One row of outputs of one block and tile of channels, in chunks of 48 vectors (16 tiles of three).
void correlate_row(const Correlation& k, const Packed& p, const float* packed, const float* packed_weights,
                   const float* bias, Index block, Index out, Index row, float* y) {
  constexpr Index kChunk = 48;
  alignas(64) float sums[kTileOut * kChunk * kLanes];
  const int width = tile_out(out, k.w.out_channels);
  const Index per_vector = p.lanes_are_images ? 1 : kLanes;  // columns of output
  const Index vectors = blocks_of(k.out_width, per_vector);
  const Index rows = k.w.kernel_height, columns = k.w.kernel_width;
  Taps taps;
  taps.row_begin = most(0, k.padding_height - row);
  taps.row_end = least(rows, k.x.height + k.padding_height - row);
  for (Index chunk = 0; chunk < vectors; chunk += kChunk) {
    const Index end = least(vectors, chunk + kChunk);
    for (Index v = chunk; v < end; v += kTileVectors) {
      const int some = static_cast<int>(least(kTileVectors, end - v));
      const Index first = v * per_vector, last = (v + some) * per_vector - 1;  // columns of this tile
      taps.column_begin = most(0, k.padding_width - last);
      taps.column_end = least(columns, k.x.width + k.padding_width - first);
      sum_taps_for(width, some)(p, taps, columns, k.w.in_channels,
                                packed + block * p.block + row * p.row + v * p.vector,
                                packed_weights + out * k.w.count_per_out(),
                                bias != nullptr ? bias + out : nullptr, sums + (v - chunk) * kLanes, kChunk);
    }
    const Index q = chunk * per_vector;
    write_row(k, p, block, out, width, row, q, least(k.out_width - q, (end - chunk) * per_vector), sums,
              kChunk, y);
  }
}

void correlate(Pool& pool, const Correlation& k, const float* bias, float* y) {
  if (k.x.count == 0 || k.out_height <= 0 || k.out_width <= 0) return;
  const Packed p =
      plan_packing(k.x, lanes_hold_images(k.x.count, k.out_width), k.out_height + k.w.kernel_height - 1,
                   k.out_width, k.w.kernel_width, Order::channels_inside);
  const Index tiles = out_tiles(k.w.out_channels);
  const Scratch<float> packed(pool, p.floats, "conv2d");
  const Scratch<float> weights(pool, k.w.out_channels * k.w.count_per_out(), "conv2d");
  for_parts(pool, p.parts() + tiles, [&](Index part) {
    if (part < tiles)
      pack_weights(k.w, first_of_tile(part, k.w.out_channels), weights.data());
    else
      pack_part(k.x, p, k.padding_height, k.padding_width, part - tiles, packed.data());
  });
  for_parts(pool, p.blocks * tiles * k.out_height, [&](Index part) {
    const Index row = part % k.out_height, tile = part / k.out_height % tiles;
    correlate_row(k, p, packed.data(), weights.data(), bias, part / k.out_height / tiles,
                  first_of_tile(tile, k.w.out_channels), row, y);
  });
}

constexpr Index kColumnsAtOnce = 24;  // of the kernel: 8·24 vectors are 12 KiB of sums
constexpr Index kVectorsAtOnce = 96;  // of dy, per output channel, before the sums go back to memory

/// dw summed over some blocks of images, for one tile of output channels, one input channel and kernel row.
///
/// Three kernel columns are summed in registers over a few rows of pixels, then wait in the first-level
/// cache, lanes not yet added, while the other columns meet the same pixels.
struct WeightGradient {
  Conv2d shape;
  Packed x, dy;
  Index tiles, groups;

  Index parts_per_group() const { return tiles * shape.kernel_height * shape.in_channels; }
  void part(Index part, const float* packed_x, const float* packed_dy, float* partial) const;
  void columns(Index group, Index out, Index c, Index r, Index s_begin, Index s_end, const float* packed_x,
               const float* packed_dy, float* sums) const;
};

void WeightGradient::columns(Index group, Index out, Index c, Index r, Index s_begin, Index s_end,
                             const float* packed_x, const float* packed_dy, float* sums) const {
  const int width = tile_out(out, shape.out_channels);
  const Index per_vector = x.lanes_are_images ? 1 : kLanes;
  const Index vectors = blocks_of(shape.out_width(), per_vector);
  store_zeros(sums, (s_end - s_begin) * width * kLanes);
  const Index p_begin = most(0, shape.padding_height - r);
  const Index p_end = least(shape.out_height(), shape.in_height + shape.padding_height - r);
  const Index rows = blocks_of(kVectorsAtOnce, vectors);
  const Index block_end = (group + 1) * x.blocks / groups;
  for (Index block = group * x.blocks / groups; block < block_end; ++block)
    for (Index p = p_begin; p < p_end; p += rows) {
      const float* x_rows = packed_x + block * x.block + c * x.channel + (p + r) * x.row;
      const float* dy_rows = packed_dy + block * dy.block + out * dy.channel + p * dy.row;
      for (Index s = s_begin; s < s_end; s += kTileVectors) {
        const int some = static_cast<int>(least(kTileVectors, s_end - s));
        Index from = 0, until = vectors;
        if (x.lanes_are_images) {  // pixels that meet only padding are left out
          from = most(0, shape.padding_width - (s + some - 1));
          until = least(vectors, shape.in_width + shape.padding_width - s);
        }
        sum_pixels_for(width, some)({.rows = least(rows, p_end - p),
                                     .steps = until - from,
                                     .x_row = x.row,
                                     .step = x.vector,
                                     .column = x.column,
                                     .dy_row = dy.row,
                                     .dy_out = dy.channel},
                                    x_rows + from * x.vector + s * x.column, dy_rows + from * kLanes,
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
  const Index group = part / shape.in_channels / shape.kernel_height / tiles;
  const Index out = first_of_tile(tile, shape.out_channels);
  const int width = tile_out(out, shape.out_channels);
  const Index kernel_width = shape.kernel_width;
  float* to = partial + group * shape.weight_count();
  for (Index s = 0; s < kernel_width; s += kColumnsAtOnce) {
    const Index end = least(kernel_width, s + kColumnsAtOnce);
    columns(group, out, c, r, s, end, packed_x, packed_dy, sums);
    add_lanes(sums, (end - s) * width);
    for (int o = 0; o < width; ++o)
      for (Index i = s; i < end; ++i)
        to[(((out + o) * shape.in_channels + c) * shape.kernel_height + r) * kernel_width + i] =
            sums[(i - s) * width + o];
  }
}

void grad_weight(Pool& pool, const Conv2d& shape, const float* x, const float* dy, float* dw) {
  const Index count = shape.weight_count(), out_height = shape.out_height(), out_width = shape.out_width();
  if (shape.batch == 0 || out_height <= 0 || out_width <= 0) return store_zeros(dw, count);
  const Images x_images{x,
                        shape.batch,
                        shape.in_channels,
                        shape.in_height,
                        shape.in_width,
                        shape.image_stride,
                        shape.channel_stride};
  const Index plane = out_height * out_width;
  const Images dy_images{
      dy, shape.batch, shape.out_channels, out_height, out_width, shape.out_channels * plane, plane};
  const bool images = lanes_hold_images(shape.batch, out_width);
  WeightGradient g;
  g.shape = shape;
  g.x = plan_packing(x_images, images, out_height + shape.kernel_height - 1, out_width, shape.kernel_width,
                     Order::channels_outside);
  g.dy = plan_packing(dy_images, images, out_height, out_width, 1, Order::channels_outside);
  g.tiles = out_tiles(shape.out_channels);
  // A group per block of images keeps the block's dy in the second-level cache, as long as the partial sums
  // stay small; otherwise groups only serve to give many threads something to do.
  constexpr Index kPartialFloats = 1 << 20, kEnoughParts = 128;
  const Index wanted = images ? g.x.blocks : blocks_of(kEnoughParts, most(1, g.parts_per_group()));
  g.groups = most(1, least(least(wanted, g.x.blocks), kPartialFloats / most(1, count)));
  const Scratch<float> packed_x(pool, g.x.floats, "conv2d_grad_weight");
  const Scratch<float> packed_dy(pool, g.dy.floats, "conv2d_grad_weight");
  const Scratch<float> partial(pool, g.groups > 1 ? g.groups * count : 0, "conv2d_grad_weight");
  float* const sums = g.groups > 1 ? partial.data() : dw;
  for_parts(pool, g.x.parts() + g.dy.parts(), [&](Index part) {
    if (part < g.x.parts())
      pack_part(x_images, g.x, shape.padding_height, shape.padding_width, part, packed_x.data());
    else
      pack_part(dy_images, g.dy, 0, 0, part - g.x.parts(), packed_dy.data());
  });
  for_parts(pool, g.groups * g.parts_per_group(),
            [&](Index part) { g.part(part, packed_x.data(), packed_dy.data(), sums); });
  if (g.groups == 1) return;
  constexpr Index kPart = 1 << 14;
  for_parts(pool, blocks_of(count, kPart), [&](Index part) {
    const Index end = least(count, (part + 1) * kPart);
    for (Index i = part * kPart; i < end; i += kLanes) {
      const int some = static_cast<int>(least(kLanes, end - i));
      Vec total = Vec::load_first(sums + i, some);
      for (Index k = 1; k < g.groups; ++k) total = total + Vec::load_first(sums + k * count + i, some);
      total.store_first(dw + i, some);
    }
  });
}

}  // namespace
}  // namespace fovea::cpu

namespace fovea::kernels {

void conv2d(cpu::Queue& q, const Conv2d& shape, const float* x, const float* w, const float* bias, float* y) {
  const std::int64_t taps = shape.kernel_height * shape.kernel_width;
  cpu::correlate(q,
                 {.x = {x, shape.batch, shape.in_channels, shape.in_height, shape.in_width,
                        shape.image_stride, shape.channel_stride},
                  .w = {w, shape.out_channels, shape.in_channels, shape.kernel_height, shape.kernel_width,
                        shape.in_channels * taps, taps, shape.kernel_width, 1},
                  .padding_height = shape.padding_height,
                  .padding_width = shape.padding_width,
                  .out_height = shape.out_height(),
                  .out_width = shape.out_width()},
                 bias, y);
}

// dx is the correlation of dy with the weights turned by 180 degrees, padded so that every tap can meet every
// pixel.
void conv2d_grad_input(cpu::Queue& q, const Conv2d& shape, const float* w, const float* dy, float* dx) {
  const std::int64_t taps = shape.kernel_height * shape.kernel_width;
  const std::int64_t plane = shape.out_height() * shape.out_width();
  cpu::correlate(q,
                 {.x = {dy, shape.batch, shape.out_channels, shape.out_height(), shape.out_width(),
                        shape.out_channels * plane, plane},
                  .w = {w + taps - 1, shape.in_channels, shape.out_channels, shape.kernel_height,
                        shape.kernel_width, taps, shape.in_channels * taps, -shape.kernel_width, -1},
                  .padding_height = shape.kernel_height - 1 - shape.padding_height,
                  .padding_width = shape.kernel_width - 1 - shape.padding_width,
                  .out_height = shape.in_height,
                  .out_width = shape.in_width},
                 nullptr, dx);
}

void conv2d_grad_weight(cpu::Queue& q, const Conv2d& shape, const float* x, const float* dy, float* dw) {
  cpu::grad_weight(q, shape, x, dy, dw);
}

}  // namespace fovea::kernels
