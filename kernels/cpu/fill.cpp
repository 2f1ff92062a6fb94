// SPDX-License-Identifier: Apache-2.0
#include "kernels/ops/fill.h"

#include "kernels/convert.h"
#include "kernels/cpu/loops.h"
#include "kernels/cpu/queue.h"
#include "kernels/cpu/random_blocks.h"

namespace fovea {

void kernels::fill(cpu::Queue& queue, std::int64_t count, double value, void* y, DType dtype) {
  with_type(dtype, [&]<class T>(TypeTag<T>) {
    T* out = static_cast<T*>(y);
    const T element = convert<T>(value);
    cpu::for_ranges(queue, count, [&](std::int64_t first, std::int64_t last) {
      for (std::int64_t i = first; i < last; ++i) out[i] = element;
    });
  });
}

void kernels::fill_uniform(cpu::Queue& queue, std::int64_t count, philox::Key key, float low, float high,
                           float* y) {
  const float range = high - low;
  cpu::for_random<cpu::Uniforms>(queue, count, key, [&](std::int64_t first, std::int64_t n, const float* u) {
    for (std::int64_t i = 0; i < n; ++i) y[first + i] = fmaf(range, u[i], low);
  });
}

void kernels::fill_normal(cpu::Queue& queue, std::int64_t count, philox::Key key, float mean, float sd,
                          float* y) {
  cpu::for_random<cpu::Normals>(queue, count, key, [&](std::int64_t first, std::int64_t n, const float* z) {
    for (std::int64_t i = 0; i < n; ++i) y[first + i] = fmaf(sd, z[i], mean);
  });
}

}  // namespace fovea
