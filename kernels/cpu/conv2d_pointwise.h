// SPDX-License-Identifier: Apache-2.0
#pragma once

#include "kernels/cpu/matmul_block.h"
#include "kernels/cpu/pool.h"
#include "kernels/geometry.h"

/// Convolutions with kernels of one pixel are matrix products for each image, w[O, C]·x[C, H·W]. The weights are
/// packed once, x where it is used; parts follow from the shape.
namespace fovea::cpu {
namespace {

/// For each image, to[M, plane] = w·from[K, plane] + bias, w being [M, K], or [K, M] and transposed.
struct Pointwise {
  Index images, m, k, plane;
  Index image_stride, channel_stride;  // of `from`
  bool transpose;
};
[[maybe_unused]] void multiply_images(Pool& pool, const Pointwise& p, const float* w, const float* from,
                                      const float* bias, float* to) {
  constexpr Index kPartTiles = 18;  // of rows: some 256
  const Index tiles = row_tiles(p.m), down = blocks_of(tiles, kPartTiles);
  const Index panels = blocks_of(p.plane, kPanel), across = blocks_of(p.plane, kBlockColumns);
  const Stored weights{w, p.transpose ? p.m : p.k, p.transpose};
  const Scratch<float> packed(pool, tiles * row_tile_pitch(p.k), "conv2d");
  for_parts(pool, tiles, [&](Index tile) { pack_rows(weights, p.m, p.k, tile, packed.data()); });
  for_parts(pool, p.images * across * down, [&](Index part) {
    const Index i = part % down, j = part / down % across, image = part / down / across;
    const Index first = cut(panels, across, j) * kPanel,
                end = least(p.plane, cut(panels, across, j + 1) * kPanel);
    multiply_block({.rows = p.m,
                    .columns = end - first,
                    .depth = p.k,
                    .first_tile = cut(tiles, down, i),
                    .end_tile = cut(tiles, down, i + 1),
                    .a = weights,
                    .b = {from + image * p.image_stride + first, p.channel_stride, false},
                    .packed_a = packed.data(),
                    .c = to + image * p.m * p.plane + first,
                    .pitch = p.plane,
                    .add = false,
                    .bias = bias});
  });
}

/// dw of each run of images, sums[run][O][C] = Σ dy[O, plane]·x[C, plane]ᵀ over the images of the run.
[[maybe_unused]] void multiply_slopes(Pool& pool, const Conv2d& shape, Index runs, const float* x,
                                      const float* dy, float* sums) {
  constexpr Index kPartTiles = 18;
  const Index in = shape.in_channels, out = shape.out_channels, plane = shape.in_height * shape.in_width;
  const Index tiles = row_tiles(out), down = blocks_of(tiles, kPartTiles);
  const Index panels = blocks_of(in, kPanel), across = blocks_of(in, kBlockColumns);
  for_parts(pool, runs * down * across, [&](Index part) {
    const Index i = part / across % down, j = part % across, run = part / across / down;
    const Index first = cut(panels, across, j) * kPanel, end = least(in, cut(panels, across, j + 1) * kPanel);
    const Index first_image = cut(shape.batch, runs, run);
    for (Index n = first_image; n < cut(shape.batch, runs, run + 1); ++n)
      multiply_block(
          {.rows = out,
           .columns = end - first,
           .depth = plane,
           .first_tile = cut(tiles, down, i),
           .end_tile = cut(tiles, down, i + 1),
           .a = {dy + n * out * plane, plane, false},
           .b = {x + n * shape.image_stride + first * shape.channel_stride, shape.channel_stride, true},
           .packed_a = nullptr,
           .c = sums + run * out * in + first,
           .pitch = in,
           .add = n > first_image,
           .bias = nullptr});
  });
}

}  // namespace
}  // namespace fovea::cpu
