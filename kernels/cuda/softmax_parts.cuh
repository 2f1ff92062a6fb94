// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cfloat>

#include "kernels/cuda/row_group.cuh"

/// The maximum of a row and its sum of exponentials in one pass: when a larger element comes, the sum so far
/// is scaled down to it.
/// source  Milakov and Gimelshein 2018, Online normalizer calculation for softmax
namespace fovea::gpu {

/// Identity {-FLT_MAX, 0}: unlike −∞ it may be subtracted from −∞. The sum is NaN if any element is NaN or
/// +∞.
struct MaxSum {
  float max, sum;
  /// The elements of one pack: one scaling for all of them.
  template <int kWidth>
  __device__ __forceinline__ void include(const Pack<float, kWidth>& values) {
    float most = max;
    for (int k = 0; k < kWidth; ++k) most = values[k] > most ? values[k] : most;
    sum *= expf(max - most);
    for (int k = 0; k < kWidth; ++k) sum += expf(values[k] - most);
    max = most;
  }
};
struct MergeMaxSum {
  __device__ __forceinline__ MaxSum operator()(MaxSum a, MaxSum b) const {
    const float most = a.max > b.max ? a.max : b.max;
    // Rounded as written: else the compiler may fuse either product, and in each of the tree's two copies another.
    return {most, fmaf(a.sum, expf(a.max - most), __fmul_rn(b.sum, expf(b.max - most)))};
  }
};

/// Of the row at x, by the threads of a group; each gets it.
template <int kThreads, int kWidth>
__device__ __forceinline__ MaxSum max_sum_of_row(std::int64_t width, const float* __restrict__ x,
                                                 MaxSum* scratch) {
  using Group = RowGroup<kThreads>;
  MaxSum mine{-FLT_MAX, 0.0f};
  for (std::int64_t i = Group::lane(); i < width / kWidth; i += kThreads)
    mine.include(load_pack<kWidth>(x, i));
  return Group::reduce(mine, MergeMaxSum{}, scratch);
}

}  // namespace fovea::gpu
