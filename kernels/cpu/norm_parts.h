// SPDX-License-Identifier: Apache-2.0
#pragma once

#include "kernels/cpu/moments.h"
#include "kernels/cpu/queue.h"

/// What group_norm.cpp and layer_norm_channels.cpp share. Internal linkage, as vec.h.
namespace fovea::kernels {
namespace {

constexpr int64_t kNormPart = 32768;  // elements of one part

/// Samples of `size` elements each that one part takes.
inline int64_t samples_of_part(int64_t size) { return size < kNormPart ? kNormPart / size : 1; }

/// Calls f(i, lanes) for vectors that cover 0..n-1.
template <class F>
void for_vectors(int64_t n, const F& f) {
  int64_t i = 0;
  for (; i + Vec::kLanes <= n; i += Vec::kLanes) f(i, Vec::kLanes);
  if (i < n) f(i, static_cast<int>(n - i));
}

inline float at_or(const float* p, int64_t i, float otherwise) { return p != nullptr ? p[i] : otherwise; }
/// `p` may be null for `otherwise`.
inline Vec load_or(const float* p, int64_t i, int lanes, float otherwise) {
  return p != nullptr ? cpu::load(p + i, lanes) : Vec::all(otherwise);
}

/// Where a block of samples adds up its Σ dy·x̂ and Σ dy: rows 2·block and 2·block + 1 of an array of `channels`
/// columns.
struct ParameterSums {
  double *gamma, *beta;
  static ParameterSums of_block(double* sums, int64_t block, int64_t channels) {
    return {sums + 2 * block * channels, sums + (2 * block + 1) * channels};
  }
};

/// dgamma and dbeta from the sums of all blocks, in their order.
inline void add_blocks(int64_t blocks, int64_t channels, double* sums, float* dgamma, float* dbeta) {
  const ParameterSums total = ParameterSums::of_block(sums, 0, channels);
  for (int64_t b = 1; b < blocks; ++b) {
    const ParameterSums block = ParameterSums::of_block(sums, b, channels);
    for (int64_t c = 0; c < channels; ++c) total.gamma[c] += block.gamma[c];
    for (int64_t c = 0; c < channels; ++c) total.beta[c] += block.beta[c];
  }
  for (int64_t c = 0; c < channels && dgamma != nullptr; ++c) dgamma[c] = static_cast<float>(total.gamma[c]);
  for (int64_t c = 0; c < channels && dbeta != nullptr; ++c) dbeta[c] = static_cast<float>(total.beta[c]);
}

}  // namespace
}  // namespace fovea::kernels
