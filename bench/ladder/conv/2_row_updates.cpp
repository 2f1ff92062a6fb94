// SPDX-License-Identifier: Apache-2.0
//
// Rung 2: the loop over a row becomes the innermost one. One weight at a time is multiplied with a whole plane of x and
// added to a plane of y: neighbours in memory, iterations that do not wait for each other, and rows declared not to
// overlap, so the compiler takes four lanes at once. Each multiplication now loads and stores a piece of y; that is
// the limit.
#include "bench/ladder/conv/rungs.h"

namespace fovea::bench::ladder {
namespace {

/// to[0..n) += factor·from[0..n)
void add_row(std::int64_t n, float factor, const float* __restrict from, float* __restrict to) {
  for (std::int64_t q = 0; q < n; ++q) to[q] += factor * from[q];
}

}  // namespace

void conv2d_row_updates(const Conv2d& s, const float* x, const float* w, float* y) {
  const std::int64_t H = s.in_height, W = s.in_width, P = s.out_height(), Q = s.out_width();
  for (std::int64_t n = 0; n < s.batch; ++n)
    for (std::int64_t o = 0; o < s.out_channels; ++o) {
      float* const plane = y + (n * s.out_channels + o) * P * Q;
      for (std::int64_t i = 0; i < P * Q; ++i) plane[i] = 0.0f;
      for (std::int64_t c = 0; c < s.in_channels; ++c)
        for (std::int64_t r = 0; r < s.kernel_height; ++r)
          for (std::int64_t t = 0; t < s.kernel_width; ++t) {
            const float weight = w[((o * s.in_channels + c) * s.kernel_height + r) * s.kernel_width + t];
            const float* const from = x + ((n * s.in_channels + c) * H + r) * W + t;
            for (std::int64_t p = 0; p < P; ++p) add_row(Q, weight, from + p * W, plane + p * Q);
          }
    }
}

}  // namespace fovea::bench::ladder
