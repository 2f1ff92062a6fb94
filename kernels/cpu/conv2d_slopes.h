// SPDX-License-Identifier: Apache-2.0
#pragma once

#include "kernels/cpu/conv2d_pack.h"
#include "kernels/cpu/matmul_block.h"
#include "kernels/cpu/pool.h"

/// Weight gradient of convolutions with many output channels: a product over the pixels, lanes hold output channels.
/// A tile is up to kNumbers neighbours of the kernel's row, counted as (column, input channel), times a panel of
/// output channels; its operands are pixels with their channels side by side. They are copied into that order some
/// rows at a time, by the part that uses them, so that they stay in its caches; a chain of sums ends with these rows.
///
/// A part is some images, some output and some input channels; the sums of the images are added in order.
namespace fovea::cpu {
namespace {

struct Slopes {
  static constexpr Index kRowFloats = 40 * 1024;  // of packed x
  static constexpr Index kPixels = 256;           // of packed dy, unless a row has more
  static constexpr Index kMostPixels = 512;
  static constexpr Index kOutputs = 2 * kPanel;  // of a part
  static constexpr Index kInputs = 64;
  static constexpr Index kPartialFloats = 1 << 20;  // of all runs
  static constexpr Index kEnoughParts = 32;

  Conv2d shape;
  const float *x, *dy;
  Index height, width, inputs, outputs;  // of y; channels of a group
  Index row_step, column_step;           // of the pixels that are packed
  Index packed_width;
  Index rows;                         // of dy at a time
  Index out_blocks, in_blocks, runs;  // of a group's channels; of images

  explicit Slopes(const Conv2d& s, const float* x_data, const float* dy_data);
  /// Whether some rows of x fit.
  bool fits() const { return width <= kMostPixels && in_blocks <= inputs; }
  Index panels() const { return blocks_of(outputs, kPanel); }  // of a group
  Index run_floats() const {
    return shape.groups * panels() * kPanel * inputs * shape.kernel_height * shape.kernel_width;
  }
  Index parts() const { return runs * shape.groups * out_blocks * in_blocks; }

  void part(Index part, float* partial) const;
  void add_up(Index part, const float* partial, float* dw) const;

 private:
  Index x_rows(Index dy_rows) const {
    return ((dy_rows - 1) * shape.stride.height + (shape.kernel_height - 1) * shape.dilation.height) /
               row_step +
           1;
  }
  void pack_x(Index image, Index channel, Index channels, Index row, Index count, float* to) const;
  template <int P, int V>
  void tile(const float* packed_x, Index x_row, Index x_pixel, const float* packed_dy, Index count,
            float* sums) const;
};

Slopes::Slopes(const Conv2d& s, const float* x_data, const float* dy_data)
    : shape(s),
      x(x_data),
      dy(dy_data),
      height(s.out_height()),
      width(s.out_width()),
      inputs(s.group_inputs()),
      outputs(s.group_outputs()) {
  row_step = s.kernel_height > 1 ? common_divisor(s.stride.height, s.dilation.height) : s.stride.height;
  column_step = s.kernel_width > 1 ? common_divisor(s.stride.width, s.dilation.width) : s.stride.width;
  packed_width = ((width - 1) * s.stride.width + (s.kernel_width - 1) * s.dilation.width) / column_step + 1;
  in_blocks = blocks_of(inputs, kInputs);
  while (in_blocks <= inputs && x_rows(1) * packed_width * blocks_of(inputs, in_blocks) > kRowFloats)
    ++in_blocks;
  rows = most(1, least(height, kPixels / width));
  while (rows > 1 && x_rows(rows) * packed_width * blocks_of(inputs, in_blocks) > kRowFloats) --rows;
  rows = blocks_of(height, blocks_of(height, rows));
  out_blocks = blocks_of(outputs, kOutputs);
  const Index per_run = s.groups * out_blocks * in_blocks;
  if (s.batch * per_run < kEnoughParts) out_blocks = panels();
  runs = most(
      1, least(least(s.batch, blocks_of(kEnoughParts, per_run)), kPartialFloats / most(1, run_floats())));
}

/// to[row][pixel][channel], with zeros where padding asks for them. The pixels that exist are transposed as one row:
/// for each channel they are neighbours in memory.
void Slopes::pack_x(Index image, Index channel, Index channels, Index row, Index count, float* to) const {
  constexpr Index kLanes = Vec::kLanes;
  const Range columns = inside(-shape.padding.left, column_step, packed_width, shape.in_width);
  const Index top = row * shape.stride.height - shape.padding.top;
  const Range seen = inside(top, row_step, count, shape.in_height);
  store_zeros(to, seen.begin * packed_width * channels);
  store_zeros(to + seen.end * packed_width * channels, (count - seen.end) * packed_width * channels);
  for (Index r = seen.begin; r < seen.end; ++r) {
    float* const line = to + r * packed_width * channels;
    store_zeros(line, columns.begin * channels);
    store_zeros(line + columns.end * channels, (packed_width - columns.end) * channels);
  }
  const float* const from = x + image * shape.image_stride + channel * shape.channel_stride;
  if (column_step > 1 || row_step > 1) {
    for (Index r = seen.begin; r < seen.end; ++r)
      for (Index c = 0; c < channels; ++c) {
        const float* const line = from + c * shape.channel_stride + (top + r * row_step) * shape.in_width;
        for (Index j = columns.begin; j < columns.end; ++j)
          to[(r * packed_width + j) * channels + c] = line[j * column_step - shape.padding.left];
      }
    return;
  }
  const Index pixels = (seen.end - seen.begin) * shape.in_width;
  const float* const first = from + (top + seen.begin) * shape.in_width;
  for (Index c = 0; c < channels; c += kLanes) {
    const Index lanes = least(kLanes, channels - c);
    float* line = to + (seen.begin * packed_width + shape.padding.left) * channels + c;
    Index j = 0;  // of a row
    for (Index i = 0; i < pixels; i += kLanes) {
      Vec square[kLanes];
      load_square(first + c * shape.channel_stride + i, shape.channel_stride, lanes, pixels - i, square);
      if (lanes == kLanes && pixels - i >= kLanes && j + kLanes <= columns.end - columns.begin) {
#pragma GCC unroll 16
        for (Index k = 0; k < kLanes; ++k) square[k].store(line + (j + k) * channels);
        j += kLanes;
        continue;
      }
      for (Index k = 0; k < least(kLanes, pixels - i); ++k) {
        if (j == shape.in_width) {
          j = 0;
          line += packed_width * channels;
        }
        if (j < columns.end - columns.begin) store(line + j * channels, static_cast<int>(lanes), square[k]);
        ++j;
      }
    }
  }
}

/// sums[p][panel] += Σ over `count` rows of pixels.
template <int P, int V>
[[gnu::noinline]] void Slopes::tile(const float* packed_x, Index x_row, Index x_pixel, const float* packed_dy,
                                    Index count, float* sums) const {
  Vec sum[P][V] = {};
  for (Index p = 0; p < count; ++p)
    add_outer(sum, packed_x + p * x_row, x_pixel, packed_dy + p * width * kPanel, kPanel, width);
#pragma GCC unroll 14
  for (int p = 0; p < P; ++p)
#pragma GCC unroll 2
    for (int v = 0; v < V; ++v) {
      float* const to = sums + p * kPanel + v * Vec::kLanes;
      (Vec::load(to) + sum[p][v]).store(to);
    }
}

/// Sums are [run][group][panel][kernel row][kernel column][input channel][kPanel].
void Slopes::part(Index part, float* partial) const {
  alignas(64) float packed_x[kRowFloats];
  alignas(64) float packed_dy[kMostPixels * kOutputs];
  const Index taps = shape.kernel_height * shape.kernel_width;
  const Index in_block = part % in_blocks, out_block = part / in_blocks % out_blocks;
  const Index group = part / in_blocks / out_blocks % shape.groups,
              run = part / in_blocks / out_blocks / shape.groups;
  const Index c = cut(inputs, in_blocks, in_block), channels = cut(inputs, in_blocks, in_block + 1) - c;
  const Index panel = cut(panels(), out_blocks, out_block),
              panel_end = cut(panels(), out_blocks, out_block + 1);
  float* const sums = partial + run * run_floats() + group * panels() * taps * inputs * kPanel;
  for (Index k = panel; k < panel_end; ++k)
    for (Index t = 0; t < taps; ++t)
      store_zeros(sums + ((k * taps + t) * inputs + c) * kPanel, channels * kPanel);

  // Taps of a row are neighbours in packed x: where the sums are, too, tiles need not end with a tap.
  const bool joined = in_blocks == 1 && shape.dilation.width == column_step;
  const Index pieces = joined ? 1 : shape.kernel_width,
              length = joined ? shape.kernel_width * channels : channels;
  const Index tiles = blocks_of(length, kNumbers);
  const Index x_row = shape.stride.height / row_step * packed_width * channels;
  const Index x_pixel = shape.stride.width / column_step * channels;
  for (Index image = cut(shape.batch, runs, run); image < cut(shape.batch, runs, run + 1); ++image)
    for (Index row = 0; row < height; row += rows) {
      const Index count = least(rows, height - row);
      pack_x(image, group * inputs + c, channels, row, x_rows(count), packed_x);
      for (Index k = panel; k < panel_end; ++k) {
        const Index out = group * outputs + k * kPanel, some = least(kPanel, outputs - k * kPanel);
        float* const slopes = packed_dy + (k - panel) * kMostPixels * kPanel;
        pack_panel(dy + ((image * shape.out_channels + out) * height + row) * width, height * width, true,
                   some, count * width, slopes, kPanel);
        for (Index r = 0; r < shape.kernel_height; ++r) {
          const Range seen = inside(row * shape.stride.height + r * shape.dilation.height - shape.padding.top,
                                    shape.stride.height, count, shape.in_height);
          for (Index s = 0; s < pieces; ++s)
            for (Index t = 0; t < tiles; ++t) {
              const Index first = cut(length, tiles, t);
              const int numbers = static_cast<int>(cut(length, tiles, t + 1) - first);
              const float* const at =
                  packed_x + r * (shape.dilation.height / row_step) * packed_width * channels +
                  s * (shape.dilation.width / column_step) * channels + first + seen.begin * x_row;
              float* const to =
                  sums +
                  (((k * shape.kernel_height + r) * shape.kernel_width + s) * inputs + c + first) * kPanel;
              const float* const from = slopes + seen.begin * width * kPanel;
              with_numbers(numbers, [&]<int P>() {
                if (some > Vec::kLanes)
                  tile<P, kVectors>(at, x_row, x_pixel, from, seen.end - seen.begin, to);
                else
                  tile<P, 1>(at, x_row, x_pixel, from, seen.end - seen.begin, to);
              });
            }
        }
      }
    }
}

/// dw of one vector of output channels: the sums of all runs, in order.
void Slopes::add_up(Index part, const float* partial, float* dw) const {
  constexpr Index kLanes = Vec::kLanes;
  const Index vectors = blocks_of(outputs, kLanes), group = part / vectors, o = part % vectors * kLanes;
  const Index taps = shape.kernel_height * shape.kernel_width, count = inputs * taps;
  const float* const from = partial + (group * panels() + o / kPanel) * taps * inputs * kPanel + o % kPanel;
  float* const to = dw + (group * outputs + o) * count;
  const Index lines = least(kLanes, outputs - o);
  Index tap = 0, channel = 0;  // of the next vector
  for (Index i = 0; i < count; i += kLanes) {
    const int some = static_cast<int>(least(kLanes, count - i));
    Vec square[kLanes];
    for (int j = 0; j < kLanes; ++j) {
      square[j] = Vec::zero();
      if (j >= some) continue;
      const float* const at = from + (tap * inputs + channel) * kPanel;
      if (++tap == taps) {
        tap = 0;
        ++channel;
      }
      square[j] = Vec::load(at);
      for (Index run = 1; run < runs; ++run) square[j] = square[j] + Vec::load(at + run * run_floats());
    }
    transpose(square);
    for (Index j = 0; j < lines; ++j) store(to + j * count + i, some, square[j]);
  }
}

[[maybe_unused]] void add_slopes(Pool& pool, const Slopes& k, float* dw) {
  const Scratch<float> partial(pool, k.runs * k.run_floats(), "conv2d_grad_weight");
  for_parts(pool, k.parts(), [&](Index part) { k.part(part, partial.data()); });
  for_parts(pool, k.shape.groups * blocks_of(k.outputs, Vec::kLanes),
            [&](Index part) { k.add_up(part, partial.data(), dw); });
}

}  // namespace
}  // namespace fovea::cpu
