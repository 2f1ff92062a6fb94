// SPDX-License-Identifier: Apache-2.0
#include "kernels/ops/dropout.h"

#include "kernels/cuda/access.cuh"
#include "kernels/cuda/random_blocks.cuh"
#include "kernels/cuda/strided.cuh"
#include "kernels/simt/simt.h"

/// Moves 8 bytes per element and stores no mask. Ten Philox rounds of two wide multiplications cost some 15
/// instructions per element when a block serves four: less time than the bytes take on sm_90, so 80 % of the
/// memory roof is what to expect.
namespace fovea {
namespace {

constexpr int kThreads = 256;

/// One Philox block, so four elements, a thread; y may be x.
template <bool kPacked>
__global__ void dropout_kernel(std::int64_t count, philox::Key key, float p, float scale, const float* x,
                               float* y) {
  for (const std::int64_t block : gpu::grid_stride(gpu::random_blocks(count))) {
    const auto draw = gpu::UniformBlock::draw(philox::bits(key, static_cast<std::uint64_t>(block)));
    if (kPacked && 4 * block + 4 <= count) {
      auto values = gpu::load_pack<4>(x, block);
      for (int k = 0; k < 4; ++k) values[k] = draw.value[k] >= p ? scale * values[k] : 0.0f;
      gpu::store_pack(y, block, values);
    } else {
      for (int k = 0; k < 4; ++k)
        if (4 * block + k < count) y[4 * block + k] = draw.value[k] >= p ? scale * x[4 * block + k] : 0.0f;
    }
  }
}

/// philox::uniform_at, without an index into registers.
__device__ __forceinline__ float uniform_of(const philox::Key& key, std::int64_t index) {
  const philox::Block draw = philox::bits(key, static_cast<std::uint64_t>(index / 4));
  const std::uint32_t low = (index & 1) != 0 ? draw.word[1] : draw.word[0];
  const std::uint32_t high = (index & 1) != 0 ? draw.word[3] : draw.word[2];
  return philox::uniform((index & 2) != 0 ? high : low);
}

/// One decision for each `group` packs, drawn again by each thread: cheaper than to store it.
template <int kWidth>
__global__ void dropout_groups(std::int64_t packs, std::int64_t group, philox::Key key, float p, float scale,
                               const float* x, float* y) {
  for (const std::int64_t i : gpu::grid_stride(packs)) {
    const bool keep = uniform_of(key, gpu::divide(i, group).quotient) >= p;
    auto values = gpu::load_pack<kWidth>(x, i);
    for (int k = 0; k < kWidth; ++k) values[k] = keep ? scale * values[k] : 0.0f;
    gpu::store_pack(y, i, values);
  }
}

}  // namespace

void kernels::dropout(gpu::Queue& queue, std::int64_t count, std::int64_t group, philox::Key key, float p,
                      const float* x, float* y) {
  const float scale = 1.0f / (1.0f - p);
  if (group == 1) {
    const auto kernel = gpu::can_pack<4>(0, x, y) ? dropout_kernel<true> : dropout_kernel<false>;
    launch(queue, "dropout", kernel, gpu::blocks_for(gpu::random_blocks(count), kThreads), kThreads, 0, count,
           key, p, scale, x, y);
    return;
  }
  const bool packed = gpu::can_pack<4>(group, x, y);
  const std::int64_t width = packed ? 4 : 1, packs = count / width;
  launch(queue, "dropout_groups", packed ? dropout_groups<4> : dropout_groups<1>,
         gpu::blocks_for(packs, kThreads), kThreads, 0, packs, group / width, key, p, scale, x, y);
}

}  // namespace fovea
