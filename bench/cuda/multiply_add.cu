// SPDX-License-Identifier: Apache-2.0
#include "bench/cuda/multiply_add.h"

#include "kernels/cuda/launch.h"

namespace fovea::bench {
namespace {

constexpr int kChains = 8, kSteps = 4096;  // enough chains to hide the latency of a multiply-add
static_assert(2.0 * kChains * kSteps * kChainThreads == kChainFlops);

/// `factor` comes from outside, so that nothing is computed at compile time.
__global__ void chains(float factor, float* sums) {
  float chain[kChains];
#pragma unroll
  for (int k = 0; k < kChains; ++k) chain[k] = static_cast<float>(threadIdx.x + k);
  for (int i = 0; i < kSteps; ++i) {
#pragma unroll
    for (int k = 0; k < kChains; ++k) chain[k] = fmaf(chain[k], factor, 0.5f);
  }
  float sum = 0;
#pragma unroll
  for (int k = 0; k < kChains; ++k) sum += chain[k];
  sums[blockIdx.x * kChainThreads + threadIdx.x] = sum;
}

}  // namespace

void multiply_add_chains(cuda::Stream& stream, int blocks, float* sums) {
  cuda::launch(stream, "multiply_add_chains", chains, blocks, kChainThreads, 0, 0.999f, sums);
}

}  // namespace fovea::bench
