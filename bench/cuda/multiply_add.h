// SPDX-License-Identifier: Apache-2.0
#pragma once

#include "kernels/cuda/stream.h"

namespace fovea::bench {

/// FLOPs of one launch per block, and threads of a block.
inline constexpr int kChainThreads = 256;
inline constexpr double kChainFlops = 2.0 * 8 * 4096 * kChainThreads;

/// Chains of fused multiply-adds in registers. sums  [blocks·kChainThreads]
void multiply_add_chains(cuda::Stream& stream, int blocks, float* sums);

}  // namespace fovea::bench
