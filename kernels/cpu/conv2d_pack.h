// SPDX-License-Identifier: Apache-2.0
#pragma once

#include "kernels/cpu/transpose.h"
#include "kernels/geometry.h"

/// Copies of images and weights in the order in which the tiles of kernels/cpu/conv2d_tile.h read them.
///
/// Note [What the lanes hold]: a vector holds one pixel of kLanes images, or kLanes neighbouring pixels of
/// one row. Images waste no lanes at any width when the batch fills them, and need no vector that straddles
/// two cache lines; pixels serve small batches. In both, a tile sees packed input as base + r·row + s·column
/// + c·channel + v·vector, so one tile kernel serves both. The choice follows from the shape alone.
///
/// Note [Rolling windows]: if the image stride equals the channel stride, image n's channel c is frame n + c.
/// The frames are packed once, [y][x][frame], and the vector of images n… at channel c is the unaligned
/// vector at n + c: a window of 40 frames costs no more memory than the movie.
namespace fovea::cpu {
namespace {

using Index = std::int64_t;

constexpr Index least(Index a, Index b) { return a < b ? a : b; }
constexpr Index most(Index a, Index b) { return a > b ? a : b; }
constexpr Index blocks_of(Index count, Index size) { return (count + size - 1) / size; }

/// Images with any image and channel stride, and contiguous planes.
struct Images {
  const float* data;
  Index count, channels, height, width;
  Index image_stride, channel_stride;
};

/// Strides of packed images, in floats. A block is kLanes images, or one image.
struct Packed {
  bool lanes_are_images;
  Index blocks, height, width;        // of the padded planes
  Index block, row, column, channel;  // strides
  Index vector;                       // from one vector of outputs to the next
  Index pack_blocks, pack_channels;   // as written; for rolling windows: frames, 1
  Index pack_block, pack_images;      // stride of, and real images in, the written blocks
  Index floats;

  Index parts() const { return pack_blocks * height; }
};

/// Whether vectors hold images: whatever fills the lanes better.
constexpr bool lanes_hold_images(Index images, Index out_width) {
  constexpr Index kLanes = Vec::kLanes;
  return images * blocks_of(out_width, kLanes) >= out_width * blocks_of(images, kLanes);
}

enum class Order { channels_inside, channels_outside };

/// How to pack images into planes of height x width, for outputs of out_width. channels_inside is
/// [y][x][channel][image] (or [y][channel][x]), for sums over channels; channels_outside is
/// [channel][y][x][image] (or [channel][y][x]), for sums over pixels.
Packed plan_packing(const Images& x, bool lanes_are_images, Index height, Index out_width, Index kernel_width,
                    Order order) {
  constexpr Index kLanes = Vec::kLanes;
  const bool rolling = x.image_stride == x.channel_stride && x.count > 1 && x.channels > 1;
  Packed p{};
  p.lanes_are_images = lanes_are_images;
  p.height = height;
  p.pack_channels = rolling ? 1 : x.channels;
  p.pack_images = rolling ? x.count + x.channels - 1 : x.count;
  if (lanes_are_images) {
    p.blocks = blocks_of(x.count, kLanes);
    p.width = out_width + kernel_width - 1;
    if (rolling) {
      const Index frames = p.blocks * kLanes + x.channels - 1;
      p.pack_blocks = blocks_of(frames, kLanes);
      p.block = p.pack_block = kLanes;
      p.channel = 1;
      p.column = (p.pack_blocks * kLanes) | 1;  // odd: the pixels of a row fall into different cache sets
      p.row = p.width * p.column;
      p.floats = height * p.row;
    } else {
      p.pack_blocks = p.blocks;
      p.block = p.pack_block = height * p.width * x.channels * kLanes;
      p.channel = order == Order::channels_inside ? kLanes : height * p.width * kLanes;
      p.column = order == Order::channels_inside ? x.channels * kLanes : kLanes;
      p.row = p.width * p.column;
      p.floats = p.blocks * p.block;
    }
    p.vector = p.column;
  } else {
    p.blocks = x.count;
    p.width = blocks_of(out_width, kLanes) * kLanes + kernel_width - 1;
    p.pack_blocks = p.pack_images;
    p.column = 1;
    p.vector = kLanes;
    const Index planes = rolling ? p.pack_images : x.channels, plane = height * p.width;
    const bool inside = order == Order::channels_inside;
    p.channel = inside ? p.width : plane;
    p.row = inside ? planes * p.width : p.width;
    p.block = p.pack_block = rolling ? p.channel : planes * plane;
    p.floats = (rolling ? 1 : p.blocks) * planes * plane;
  }
  return p;
}

void store_zeros(float* to, Index count) {
  for (Index i = 0; i < count; i += Vec::kLanes)
    Vec::zero().store_first(to + i, static_cast<int>(least(Vec::kLanes, count - i)));
}

void store_copy(const float* from, float* to, Index count) {
  for (Index i = 0; i < count; i += Vec::kLanes) {
    const int some = static_cast<int>(least(Vec::kLanes, count - i));
    Vec::load_first(from + i, some).store_first(to + i, some);
  }
}

/// One row of a plane of `some` ≤ kLanes images: to[x·column + image] = from[image·image_stride + x], 0 for
/// the images that are missing.
void transpose_row(const float* from, Index image_stride, int some, Index width, float* to, Index column) {
  constexpr int kLanes = Vec::kLanes;
  for (Index x = 0; x < width; x += kLanes) {
    const int columns = static_cast<int>(least(kLanes, width - x));
    Vec square[kLanes];
    if (columns == kLanes && some == kLanes) {
      for (int i = 0; i < kLanes; ++i) square[i] = Vec::load(from + i * image_stride + x);
    } else {
      for (int i = 0; i < kLanes; ++i)
        square[i] = i < some ? Vec::load_first(from + i * image_stride + x, columns) : Vec::zero();
    }
    transpose(square);
    for (int j = 0; j < columns; ++j) square[j].store(to + (x + j) * column);
  }
}

/// Packs one row of one block (part in 0..parts-1), with zeros where padding (which may be negative, then it
/// cuts off) or missing images ask for them.
void pack_part(const Images& x, const Packed& p, Index padding_height, Index padding_width, Index part,
               float* to) {
  constexpr Index kLanes = Vec::kLanes;
  const Index block = part / p.height, y = part % p.height, in_y = y - padding_height;
  const Index left = most(0, least(p.width, padding_width));
  const Index right = most(left, least(p.width, padding_width + x.width));
  const bool inside = in_y >= 0 && in_y < x.height && right > left;
  to += block * p.pack_block + y * p.row;
  const Index first_image = p.lanes_are_images ? block * kLanes : block;
  const int some = static_cast<int>(most(0, least(kLanes, p.pack_images - first_image)));
  for (Index c = 0; c < p.pack_channels; ++c, to += p.channel) {
    const Index source = first_image * x.image_stride + c * x.channel_stride + in_y * x.width - padding_width;
    if (p.lanes_are_images) {
      const Index from = inside ? left : p.width, until = inside ? right : p.width;
      for (Index j = 0; j < from; ++j) Vec::zero().store(to + j * p.column);
      if (inside && some > 0) {
        transpose_row(x.data + source + left, x.image_stride, some, right - left, to + left * p.column,
                      p.column);
      } else {
        for (Index j = from; j < until; ++j) Vec::zero().store(to + j * p.column);
      }
      for (Index j = until; j < p.width; ++j) Vec::zero().store(to + j * p.column);
    } else if (inside) {
      store_zeros(to, left);
      store_copy(x.data + source + left, to + left, right - left);
      store_zeros(to + right, p.width - right);
    } else {
      store_zeros(to, p.width);
    }
  }
}

/// Weights of one pass: element (o, c, r, s) stands at data[o·out + c·in + r·row + s·column].
struct Weights {
  const float* data;
  Index out_channels, in_channels, kernel_height, kernel_width;
  Index out, in, row, column;
  Index count_per_out() const { return in_channels * kernel_height * kernel_width; }
};

/// Output channels that start at o share a tile: as many as fit, in halving steps at the end.
constexpr int kTileOut = Vec::kRegisters >= 32 ? 8 : 4;
constexpr int tile_out(Index o, Index out_channels) {
  int width = kTileOut;
  while (o + width > out_channels) width /= 2;
  return width;
}
constexpr Index out_tiles(Index out_channels) {
  Index tiles = 0;
  for (Index o = 0; o < out_channels; o += tile_out(o, out_channels)) ++tiles;
  return tiles;
}
constexpr Index first_of_tile(Index tile, Index out_channels) {
  Index o = 0;
  for (; tile > 0; --tile) o += tile_out(o, out_channels);
  return o;
}

/// The weights of the tile that starts at o, as [r][s][c][o in the tile].
void pack_weights(const Weights& w, Index o, float* to) {
  const int width = tile_out(o, w.out_channels);
  to += o * w.count_per_out();
  for (Index r = 0; r < w.kernel_height; ++r)
    for (Index s = 0; s < w.kernel_width; ++s)
      for (Index c = 0; c < w.in_channels; ++c)
        for (int i = 0; i < width; ++i) *to++ = w.data[(o + i) * w.out + c * w.in + r * w.row + s * w.column];
}

}  // namespace
}  // namespace fovea::cpu
