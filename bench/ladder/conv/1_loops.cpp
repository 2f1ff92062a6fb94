// SPDX-License-Identifier: Apache-2.0
//
// Rung 1: the definition, seven loops. Each result is one chain of additions, of which each waits three to four cycles
// for the one before. The compiler may not split the chain: another order of additions would be another result.
#include "bench/ladder/conv/rungs.h"

namespace fovea::bench::ladder {

void conv2d_loops(const Conv2d& s, const float* x, const float* w, float* y) {
  const std::int64_t H = s.in_height, W = s.in_width, P = s.out_height(), Q = s.out_width();
  for (std::int64_t n = 0; n < s.batch; ++n)
    for (std::int64_t o = 0; o < s.out_channels; ++o)
      for (std::int64_t p = 0; p < P; ++p)
        for (std::int64_t q = 0; q < Q; ++q) {
          float sum = 0.0f;
          for (std::int64_t c = 0; c < s.in_channels; ++c)
            for (std::int64_t r = 0; r < s.kernel_height; ++r)
              for (std::int64_t t = 0; t < s.kernel_width; ++t)
                sum += x[((n * s.in_channels + c) * H + p + r) * W + q + t] *
                       w[((o * s.in_channels + c) * s.kernel_height + r) * s.kernel_width + t];
          y[((n * s.out_channels + o) * P + p) * Q + q] = sum;
        }
}

}  // namespace fovea::bench::ladder
