// SPDX-License-Identifier: Apache-2.0
#pragma once

#include "kernels/cpu/conv2d_pack.h"
#include "kernels/cpu/matmul_tile.h"
#include "kernels/cpu/pool.h"

/// Convolutions with kernels of one pixel are matrix products for each image, w[O, C]·x[C, H·W], on
/// operands as they lie in memory. They are cut into tiles as in kernels/cpu/matmul.cpp.
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
  const Index across = blocks_of(p.plane, kTileN), tiles = across * blocks_of(p.m, kTileM);
  for_parts(pool, p.images * tiles, [&](Index part) {
    const Index image = part / tiles, i = part % tiles / across * kTileM, j = part % across * kTileN;
    const Index rows = least(kTileM, p.m - i), columns = least(kTileN, p.plane - j);
    float* const corner = to + (image * p.m + i) * p.plane + j;
    if (bias != nullptr)
      for (Index r = 0; r < rows; ++r)
        for (Index s = 0; s < columns; ++s) corner[r * p.plane + s] = bias[i + r];
    multiply_tile<float>(p.transpose,
                         p.transpose ? Block<const float>{w + i, p.k, rows, p.m}
                                     : Block<const float>{w + i * p.k, rows, p.k, p.k},
                         false, {from + image * p.image_stride + j, p.k, columns, p.channel_stride},
                         bias != nullptr, {corner, rows, columns, p.plane});
  });
}

/// dw of each run of images, sums[run][O][C] = Σ dy[O, plane]·x[C, plane]ᵀ over the images of the run.
[[maybe_unused]] void multiply_slopes(Pool& pool, const Conv2d& shape, Index runs, const float* x,
                                      const float* dy, float* sums) {
  const Index in = shape.in_channels, out = shape.out_channels, plane = shape.in_height * shape.in_width;
  const Index across = blocks_of(in, kTileN), tiles = across * blocks_of(out, kTileM);
  for_parts(pool, runs * tiles, [&](Index part) {
    const Index run = part / tiles, i = part % tiles / across * kTileM, j = part % across * kTileN;
    const Index rows = least(kTileM, out - i), columns = least(kTileN, in - j);
    const Index first = run * shape.batch / runs, end = (run + 1) * shape.batch / runs;
    for (Index n = first; n < end; ++n)
      multiply_tile<float>(
          false, {dy + (n * out + i) * plane, rows, plane, plane}, true,
          {x + n * shape.image_stride + j * shape.channel_stride, columns, plane, shape.channel_stride},
          n > first, {sums + (run * out + i) * in + j, rows, columns, in});
  });
}

}  // namespace
}  // namespace fovea::cpu
