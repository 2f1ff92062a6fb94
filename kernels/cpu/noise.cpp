// SPDX-License-Identifier: Apache-2.0
#include "kernels/ops/noise.h"

#include "kernels/cpu/queue.h"
#include "kernels/cpu/random_blocks.h"

namespace fovea {

void kernels::gaussian_noise(cpu::Queue& queue, std::int64_t count, philox::Key key, float sigma,
                             const float* x, float* y) {
  cpu::for_random<cpu::Normals>(queue, count, key, [&](std::int64_t first, std::int64_t n, const float* z) {
    for (std::int64_t i = 0; i < n; ++i) y[first + i] = fmaf(sigma, z[i], x[first + i]);
  });
}

}  // namespace fovea
