// SPDX-License-Identifier: Apache-2.0
#include "kernels/ops/dropout.h"

#include "kernels/cpu/queue.h"
#include "kernels/cpu/random_blocks.h"

namespace fovea {

void kernels::dropout(cpu::Queue& queue, std::int64_t count, std::int64_t group, philox::Key key, float p,
                      const float* x, float* y) {
  const float scale = 1.0f / (1.0f - p);
  if (group == 1) {
    cpu::for_random<cpu::Uniforms>(queue, count, key,
                                   [&](std::int64_t first, std::int64_t n, const float* u) {
                                     for (std::int64_t i = 0; i < n; ++i) {
                                       const float kept = scale * x[first + i];
                                       y[first + i] = u[i] >= p ? kept : 0.0f;
                                     }
                                   });
    return;
  }
  cpu::for_ranges(queue, count, [&](std::int64_t first, std::int64_t last) {
    for (std::int64_t i = first; i < last;) {
      const std::int64_t sample = i / group, end = cpu::least((sample + 1) * group, last);
      const bool keep = philox::uniform_at(key, static_cast<std::uint64_t>(sample)) >= p;
      for (; i < end; ++i) {
        const float kept = scale * x[i];
        y[i] = keep ? kept : 0.0f;
      }
    }
  });
}

}  // namespace fovea
