// SPDX-License-Identifier: Apache-2.0
#include "kernels/ops/noise.h"

#include "kernels/cuda/access.cuh"
#include "kernels/cuda/random_blocks.cuh"
#include "kernels/simt/simt.h"

namespace fovea {
namespace {

constexpr int kThreads = 256;

/// One Philox block, so four elements, a thread; y may be x. Moves 8 bytes per element. Ten rounds of two
/// wide multiplications and two Box–Muller pairs cost some 60 instructions per element: on sm_90 about the
/// time that the bytes take, so 50 to 70 % of the memory roof is what to expect.
template <bool kPacked>
__global__ void gaussian_noise_kernel(std::int64_t count, philox::Key key, float sigma, const float* x,
                                      float* y) {
  for (const std::int64_t block : gpu::grid_stride(gpu::random_blocks(count))) {
    const philox::Normals draw = philox::normals(philox::bits(key, static_cast<std::uint64_t>(block)));
    if (kPacked && 4 * block + 4 <= count) {
      auto values = gpu::load_pack<4>(x, block);
      for (int k = 0; k < 4; ++k) values[k] = fmaf(sigma, draw.value[k], values[k]);
      gpu::store_pack(y, block, values);
    } else {
      for (int k = 0; k < 4; ++k)
        if (4 * block + k < count) y[4 * block + k] = fmaf(sigma, draw.value[k], x[4 * block + k]);
    }
  }
}

}  // namespace

void kernels::gaussian_noise(gpu::Queue& queue, std::int64_t count, philox::Key key, float sigma,
                             const float* x, float* y) {
  const auto kernel = gpu::can_pack<4>(0, x, y) ? gaussian_noise_kernel<true> : gaussian_noise_kernel<false>;
  launch(queue, "gaussian_noise", kernel, gpu::blocks_for(gpu::random_blocks(count), kThreads), kThreads, 0,
         count, key, sigma, x, y);
}

}  // namespace fovea
