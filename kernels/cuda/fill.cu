// SPDX-License-Identifier: Apache-2.0
#include "kernels/ops/fill.h"

#include "kernels/convert.h"
#include "kernels/cuda/access.cuh"
#include "kernels/cuda/random_blocks.cuh"
#include "kernels/simt/simt.h"

namespace fovea {
namespace {

constexpr int kThreads = 256;

template <int kWidth, class T>
__global__ void fill_constant(std::int64_t packs, T value, T* __restrict__ y) {
  gpu::Pack<T, kWidth> out;
  for (int k = 0; k < kWidth; ++k) out[k] = value;
  for (const std::int64_t i : gpu::grid_stride(packs)) gpu::store_pack(y, i, out);
}

/// One Philox block, so four elements, a thread. y[i] = scale·draw + shift.
template <bool kPacked, class Draw>
__global__ void fill_random(std::int64_t count, philox::Key key, float scale, float shift,
                            float* __restrict__ y) {
  for (const std::int64_t block : gpu::grid_stride(gpu::random_blocks(count))) {
    const auto draw = Draw::draw(philox::bits(key, static_cast<std::uint64_t>(block)));
    gpu::Pack<float, 4> out;
    for (int k = 0; k < 4; ++k) out[k] = fmaf(scale, draw.value[k], shift);
    if (kPacked && 4 * block + 4 <= count)
      gpu::store_pack(y, block, out);
    else
      for (int k = 0; k < 4; ++k)
        if (4 * block + k < count) y[4 * block + k] = out[k];
  }
}

template <class Draw>
void random(gpu::Queue& queue, const char* name, std::int64_t count, const philox::Key& key, float scale,
            float shift, float* y) {
  const auto kernel = gpu::can_pack<4>(0, y) ? fill_random<true, Draw> : fill_random<false, Draw>;
  launch(queue, name, kernel, gpu::blocks_for(gpu::random_blocks(count), kThreads), kThreads, 0, count, key,
         scale, shift, y);
}

}  // namespace

void kernels::fill(gpu::Queue& queue, std::int64_t count, double value, void* y, DType dtype) {
  with_type(dtype, [&]<class T>(TypeTag<T>) {
    constexpr int kWidth = gpu::kPackWidth<T>;
    T* out = static_cast<T*>(y);
    const T element = convert<T>(value);
    if (gpu::can_pack<kWidth>(count, out))
      launch(queue, "fill", fill_constant<kWidth, T>, gpu::blocks_for(count / kWidth, kThreads), kThreads, 0,
             count / kWidth, element, out);
    else
      launch(queue, "fill", fill_constant<1, T>, gpu::blocks_for(count, kThreads), kThreads, 0, count,
             element, out);
  });
}

void kernels::fill_uniform(gpu::Queue& queue, std::int64_t count, philox::Key key, float low, float high,
                           float* y) {
  random<gpu::UniformBlock>(queue, "fill_uniform", count, key, high - low, low, y);
}

void kernels::fill_normal(gpu::Queue& queue, std::int64_t count, philox::Key key, float mean, float sd,
                          float* y) {
  random<gpu::NormalBlock>(queue, "fill_normal", count, key, sd, mean, y);
}

}  // namespace fovea
