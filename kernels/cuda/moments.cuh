// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstdint>

#include "kernels/cuda/block.cuh"

/// What the normalisations share. Internal linkage: kernel arguments.
namespace fovea::kernels {
namespace {

using std::int64_t;

constexpr int kRun = 32;  // values summed from one pivot, see Note [Pivots] in batch_norm_columns.h

__device__ __forceinline__ float inverse_sd(float variance, float eps) {
  return 1.0f / sqrtf(variance + eps);
}

/// Sums of a run of values, measured from the first.
struct Run {
  float pivot, sum = 0.0f, square = 0.0f, count = 1.0f;
  __device__ explicit Run(float first = 0.0f) : pivot(first) {}
  __device__ void include(float value) {
    const float d = value - pivot;
    sum += d;
    square = fmaf(d, d, square);
    count += 1.0f;
  }
  __device__ gpu::Moments moments(float origin) const {
    const float mean = sum / count, m2 = fmaf(-sum, mean, square);
    return {count, (pivot - origin) + mean, m2 < 0.0f ? 0.0f : m2};  // NaN stays
  }
};

}  // namespace
}  // namespace fovea::kernels
