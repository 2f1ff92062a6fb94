// SPDX-License-Identifier: Apache-2.0
#pragma once

#include "kernels/conv2d_phase.h"
#include "kernels/cpu/fetch.h"
#include "kernels/cpu/transpose.h"
#include "kernels/geometry.h"

/// Copies of images and weights in the order in which the tiles of kernels/cpu/conv2d_tile.h read them.
///
/// Note [What the lanes hold]: a vector holds one pixel of kLanes images, or kLanes neighbouring pixels of
/// one row, or, where there are many, kLanes output channels. Images waste no lanes at any width when the
/// batch fills them, and need no vector that straddles two cache lines; pixels serve small batches. In both,
/// a tile sees packed input as base + r·tap_row + columns[s] + c·channel + v·vector, so one tile kernel
/// serves both. Output channels waste no lanes at any width and batch: kernels/cpu/conv2d_channels.h and
/// conv2d_slopes.h. The choice follows from the shape alone, in the forward pass by cost
/// (kernels/cpu/conv2d_cost.h).
///
/// Note [Strides in lanes]: neighbouring outputs of a row read every stride-th pixel. Where lanes hold
/// pixels, a row is therefore packed as `stride` rows, each with one in `stride` of its pixels, so that a
/// vector is one load again; columns[s] says in which of them tap s begins. Where lanes hold images a
/// stride costs nothing.
///
/// Note [Rolling windows]: if the image stride equals the channel stride, image n's channel c is frame n + c.
/// The frames are packed once, [y][x][frame], and the vector of images n… at channel c is the unaligned
/// vector at n + c: a window of 40 frames costs no more memory than the movie.
namespace fovea::cpu {
namespace {

/// k of 0..count-1 that begin ≤ k < end.
struct Range {
  Index begin, end;
};
constexpr Range common(Range a, Range b) { return {most(a.begin, b.begin), least(a.end, b.end)}; }
/// Those with 0 ≤ start + k·step < extent.
constexpr Range inside(Index start, Index step, Index count, Index extent) {
  const Index begin = start >= 0 ? 0 : least(count, blocks_of(-start, step));
  return {begin, most(begin, extent > start ? least(count, (extent - 1 - start) / step + 1) : 0)};
}

/// Images with any image and channel stride, and contiguous planes; channels come in groups of equal size.
struct Images {
  const float* data;
  Index count, channels, height, width;
  Index image_stride, channel_stride;
  Index groups;
  bool turned = false;  // rows are columns: pixel (y, x) stands at [x·height + y]; for lanes that hold pixels
  Index group_channels() const { return channels / groups; }
};

/// How a kernel moves over the images: output (p, q) and tap (r, s) meet at input pixel
/// (p·stride.height + r·dilation.height - padding_top, …). Paddings may be negative, then they cut off.
struct Windows {
  Index out_height, out_width, kernel_height, kernel_width;
  Size2d stride, dilation;
  Index padding_top, padding_left;

  /// Rows between two that are needed: a kernel of one row and stride 2 needs every second one.
  Index row_step() const {
    return kernel_height > 1 ? common_divisor(stride.height, dilation.height) : stride.height;
  }
  Index height() const {  // of a padded plane, in rows that are needed
    return ((out_height - 1) * stride.height + (kernel_height - 1) * dilation.height) / row_step() + 1;
  }
  Index width() const { return (out_width - 1) * stride.width + (kernel_width - 1) * dilation.width + 1; }
};

/// x, dy and the windows of a convolution.
Images images_of(const Conv2d& shape, const float* x) {
  return {x,
          shape.batch,
          shape.in_channels,
          shape.in_height,
          shape.in_width,
          shape.image_stride,
          shape.channel_stride,
          shape.groups};
}
Images slopes_of(const Conv2d& shape, const float* dy) {
  const Index height = shape.out_height(), width = shape.out_width(), plane = height * width;
  return {dy,    shape.batch, shape.out_channels, height, width, shape.out_channels * plane,
          plane, shape.groups};
}
constexpr Windows windows_of(const Conv2d& shape) {
  return {shape.out_height(), shape.out_width(), shape.kernel_height, shape.kernel_width,
          shape.stride,       shape.dilation,    shape.padding.top,   shape.padding.left};
}

/// Strides of packed images, in floats. A block is kLanes images, or one image.
struct Packed {
  bool lanes_are_images;
  Index blocks, height, width;  // of the padded planes; with pixels in the lanes, of a row of one phase
  Index phases;                 // rows of `width` pixels that a row is split into
  Index row_step;               // Windows::row_step
  Index block, group, row, column, channel;  // strides; of row: from one needed row to the next
  Index out_row, tap_row;                    // from one row of outputs, of taps, to the next
  Index vector;                              // from one vector of outputs to the next
  Index pack_blocks, pack_channels;          // as written; for rolling windows: frames, 1
  Index pack_block, pack_images;             // stride of, and real images in, the written blocks
  Index group_channels;
  Index floats;

  Index parts() const { return pack_blocks * height; }
};

/// Of the lanes of vectors that hold `count` things, the share that is used.
constexpr double filled(Index count) {
  return static_cast<double>(count) / static_cast<double>(blocks_of(count, Vec::kLanes) * Vec::kLanes);
}
/// Whether vectors hold images rather than pixels: whatever fills the lanes better.
constexpr bool lanes_hold_images(Index images, Index out_width) {
  return filled(images) >= filled(out_width);
}
/// Whether they hold output channels instead, whose tiles are the better ones.
constexpr bool lanes_hold_channels(Index out_channels, Index images, Index out_width) {
  const double others = lanes_hold_images(images, out_width) ? filled(images) : filled(out_width);
  return out_channels >= Vec::kLanes && 1.15 * filled(out_channels) >= others;
}

enum class Order { channels_inside, channels_outside };

/// How to pack images for a kernel that moves over them. channels_inside is [group][y][x][channel][image]
/// (or [group][y][channel][x]), for sums over the channels of a group; channels_outside is
/// [channel][y][x][image] (or [channel][y][x]), for sums over pixels.
Packed plan_packing(const Images& x, bool lanes_are_images, const Windows& k, Order order) {
  constexpr Index kLanes = Vec::kLanes;
  const bool rolling = x.image_stride == x.channel_stride && x.count > 1 && x.channels > 1;
  const bool within = order == Order::channels_inside;
  const Index group_channels = x.group_channels();
  Packed p{};
  p.lanes_are_images = lanes_are_images;
  p.height = k.height();
  p.row_step = k.row_step();
  p.phases = 1;
  p.group_channels = group_channels;
  p.pack_channels = rolling ? 1 : x.channels;
  p.pack_images = rolling ? x.count + x.channels - 1 : x.count;
  if (lanes_are_images) {
    p.blocks = blocks_of(x.count, kLanes);
    p.width = k.width();
    if (rolling) {
      const Index frames = p.blocks * kLanes + x.channels - 1;
      p.pack_blocks = blocks_of(frames, kLanes);
      p.block = p.pack_block = kLanes;
      p.channel = 1;
      p.column = (p.pack_blocks * kLanes) | 1;  // odd: the pixels of a row fall into different cache sets
      p.row = p.width * p.column;
      p.floats = p.height * p.row;
    } else {
      p.pack_blocks = p.blocks;
      p.block = p.pack_block = p.height * p.width * x.channels * kLanes;
      p.channel = within ? kLanes : p.height * p.width * kLanes;
      p.column = within ? group_channels * kLanes : kLanes;
      p.row = p.width * p.column;
      p.floats = p.blocks * p.block;
    }
    p.vector = k.stride.width * p.column;
  } else {
    p.blocks = x.count;
    p.phases = k.stride.width;
    p.width = blocks_of(k.out_width, kLanes) * kLanes + (k.kernel_width - 1) * k.dilation.width / p.phases;
    p.pack_blocks = p.pack_images;
    p.column = 1;
    p.vector = kLanes;
    const Index planes = rolling ? p.pack_images : x.channels, line = p.phases * p.width;
    const Index plane = p.height * line;
    p.channel = within ? line : plane;
    p.row = !within ? line : rolling ? planes * line : group_channels * line;
    p.block = p.pack_block = rolling ? p.channel : planes * plane;
    p.floats = (rolling ? 1 : p.blocks) * planes * plane;
  }
  p.group = rolling || !within ? group_channels * p.channel : p.height * p.row;
  p.out_row = k.stride.height / p.row_step * p.row;
  p.tap_row = k.kernel_height > 1 ? k.dilation.height / p.row_step * p.row : 0;
  return p;
}

/// Where the taps of each column of the kernel begin, from the first tap of the same outputs.
void fill_columns(const Packed& p, const Windows& k, Index* columns) {
  for (Index s = 0; s < k.kernel_width; ++s) {
    const Index at = s * k.dilation.width;
    columns[s] = (at % p.phases * p.width + at / p.phases) * p.column;
  }
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

/// to[j] = from[2·j] for j < count, of `floats` that may be read.
[[maybe_unused]] void store_every_second(const float* from, Index floats, float* to, Index count) {
  constexpr Index kLanes = Vec::kLanes;
  const auto some = [](Index n) { return static_cast<int>(most(0, least(kLanes, n))); };
  for (Index j = 0; j < count; j += kLanes) {
    const Vec a = load(from + 2 * j, some(floats - 2 * j)),
              b = load(from + 2 * j + kLanes, some(floats - 2 * j - kLanes));
    even_lanes(a, b).store_first(to + j, some(count - j));
  }
}

/// One row of a plane of `some` ≤ kLanes images: to[x·column + image] = from[image·image_stride + x], 0 for
/// the images that are missing.
void transpose_row(const float* from, Index image_stride, int some, Index width, float* to, Index column) {
  constexpr int kLanes = Vec::kLanes;
  for (Index x = 0; x < width; x += kLanes) {
    const int columns = static_cast<int>(least(kLanes, width - x));
    Vec square[kLanes];
    load_square(from + x, image_stride, some, columns, square);
    for (int j = 0; j < columns; ++j) square[j].store(to + (x + j) * column);
  }
}

/// Packs one row of one block (part in 0..parts-1), with zeros where padding or missing images ask for them.
void pack_part(const Images& x, const Packed& p, const Windows& k, Index part, float* to) {
  constexpr Index kLanes = Vec::kLanes;
  const Index block = part / p.height, y = part % p.height, in_y = y * p.row_step - k.padding_top;
  const bool inside_rows = in_y >= 0 && in_y < x.height;
  to += block * p.pack_block + y * p.row;
  const Index first_image = p.lanes_are_images ? block * kLanes : block;
  const int some = static_cast<int>(most(0, least(kLanes, p.pack_images - first_image)));
  for (Index c = 0; c < p.pack_channels; ++c) {
    float* const line = to + c / p.group_channels * p.group + c % p.group_channels * p.channel;
    const float* const plane = x.data + first_image * x.image_stride + c * x.channel_stride;
    const float* const from = plane + in_y * x.width;
    if (p.lanes_are_images) {
      const Range columns = inside(-k.padding_left, 1, p.width, x.width);
      const bool any = inside_rows && some > 0;
      const Index begin = any ? columns.begin : p.width, end = any ? columns.end : p.width;
      for (Index j = 0; j < begin; ++j) Vec::zero().store(line + j * p.column);
      if (end > begin)
        transpose_row(from + begin - k.padding_left, x.image_stride, some, end - begin,
                      line + begin * p.column, p.column);
      for (Index j = end; j < p.width; ++j) Vec::zero().store(line + j * p.column);
      continue;
    }
    for (Index phase = 0; phase < p.phases; ++phase) {
      const Index start = phase - k.padding_left;
      const Range columns = inside_rows ? inside(start, p.phases, p.width, x.width) : Range{p.width, p.width};
      float* const to_phase = line + phase * p.width;
      store_zeros(to_phase, columns.begin);
      if (x.turned)
        for (Index j = columns.begin; j < columns.end; ++j)
          to_phase[j] = plane[(start + j * p.phases) * x.height + in_y];
      else if (p.phases == 1)
        store_copy(from + start + columns.begin, to_phase + columns.begin, columns.end - columns.begin);
      else
        for (Index j = columns.begin; j < columns.end; ++j) to_phase[j] = from[start + j * p.phases];
      store_zeros(to_phase + columns.end, p.width - columns.end);
    }
  }
}

/// Weights of one pass: element (o, c, r, s) of group g stands at data[g·group + o·out + c·in + r·row +
/// s·column].
struct Weights {
  const float* data;
  Index groups, out_channels, in_channels;  // channels of a group
  Index kernel_height, kernel_width;
  Index group, out, in, row, column;
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

/// The weights of the tile of group g that starts at o, as [r][s][c][o in the tile].
[[maybe_unused]] void pack_weights(const Weights& w, Index g, Index o, float* to) {
  const int width = tile_out(o, w.out_channels);
  to += (g * w.out_channels + o) * w.count_per_out();
  for (Index r = 0; r < w.kernel_height; ++r)
    for (Index s = 0; s < w.kernel_width; ++s)
      for (Index c = 0; c < w.in_channels; ++c)
        for (int i = 0; i < width; ++i)
          *to++ = w.data[g * w.group + (o + i) * w.out + c * w.in + r * w.row + s * w.column];
}

}  // namespace
}  // namespace fovea::cpu
