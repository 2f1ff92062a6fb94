// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstdint>

#include "kernels/cuda/access.cuh"
#include "kernels/host_device.h"
#include "kernels/philox.h"

namespace fovea::gpu {

/// Four uniforms of one Philox block, as philox::normals gives four normals.
struct UniformBlock {
  __device__ __forceinline__ static philox::Normals draw(const philox::Block& b) {
    return {{philox::uniform(b.word[0]), philox::uniform(b.word[1]), philox::uniform(b.word[2]),
             philox::uniform(b.word[3])}};
  }
};
struct NormalBlock {
  __device__ __forceinline__ static philox::Normals draw(const philox::Block& b) {
    return philox::normals(b);
  }
};

/// Philox blocks, and so threads, for `count` elements.
FOVEA_HOST_DEVICE std::int64_t random_blocks(std::int64_t count) { return (count + 3) / 4; }

}  // namespace fovea::gpu
