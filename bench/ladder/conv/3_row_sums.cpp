// SPDX-License-Identifier: Apache-2.0
//
// Rung 3: the widest lanes, and a row of y that stays in registers while all its terms are added: one load for a
// multiply-add instead of two loads and a store. A row of 36 takes three vectors, so there are only three chains, and a
// step cannot be shorter than a multiply-add's latency; and nearly all of the loads cross a cache line, since a row
// begins at any column, and count double.
#include "bench/ladder/conv/rungs.h"
#include "kernels/cpu/queue.h"
#include "kernels/cpu/vec.h"

namespace fovea::bench::ladder {
namespace {

using cpu::Vec;

/// `vectors` vectors of a row of y, the last of which has `last` lanes. x and w are those of the row's first term.
template <int vectors>
void sum_row(const Conv2d& s, const float* x, const float* w, float* y, int last) {
  Vec sums[vectors] = {};
  for (std::int64_t c = 0; c < s.in_channels; ++c)
    for (std::int64_t r = 0; r < s.kernel_height; ++r) {
      const float* const from = x + (c * s.in_height + r) * s.in_width;
      for (std::int64_t t = 0; t < s.kernel_width; ++t) {
        const Vec weight = Vec::all(*w++);
#pragma GCC unroll 3
        for (int v = 0; v < vectors; ++v)
          sums[v] = fma(cpu::load(from + t + v * Vec::kLanes, v + 1 < vectors ? Vec::kLanes : last), weight,
                        sums[v]);
      }
    }
  for (int v = 0; v < vectors; ++v)
    cpu::store(y + v * Vec::kLanes, v + 1 < vectors ? Vec::kLanes : last, sums[v]);
}

}  // namespace

template <class Queue>
void conv2d_row_sums(Queue&, const Conv2d& s, const float* x, const float* w, float* y) {
  constexpr std::int64_t kLanes = Vec::kLanes;
  const std::int64_t P = s.out_height(), Q = s.out_width();
  const std::int64_t taps = s.in_channels * s.kernel_height * s.kernel_width;
  for (std::int64_t n = 0; n < s.batch; ++n)
    for (std::int64_t o = 0; o < s.out_channels; ++o)
      for (std::int64_t p = 0; p < P; ++p) {
        const float* const from = x + (n * s.in_channels * s.in_height + p) * s.in_width;
        float* const to = y + ((n * s.out_channels + o) * P + p) * Q;
        for (std::int64_t q = 0; q < Q; q += 3 * kLanes) {
          const std::int64_t left = Q - q < 3 * kLanes ? Q - q : 3 * kLanes,
                             vectors = (left + kLanes - 1) / kLanes;
          const int last = static_cast<int>(left - (vectors - 1) * kLanes);
          if (vectors == 3)
            sum_row<3>(s, from + q, w + o * taps, to + q, last);
          else if (vectors == 2)
            sum_row<2>(s, from + q, w + o * taps, to + q, last);
          else
            sum_row<1>(s, from + q, w + o * taps, to + q, last);
        }
      }
}

template void conv2d_row_sums(cpu::Queue&, const Conv2d&, const float*, const float*, float*);

}  // namespace fovea::bench::ladder
