// SPDX-License-Identifier: Apache-2.0
//
// Rung 4: eight channels of a row of y at once. The vectors of x that cost so much to load are used eight times, and
// 24 chains hide every latency: the multiplier is the limit. The weights of eight channels are copied to lie side by
// side, so that a step reads them in order. What is left: of the lanes of a row of 36, 12 of 48 compute nothing.
#include "bench/ladder/conv/rungs.h"
#include "kernels/cpu/pool.h"
#include "kernels/cpu/queue.h"
#include "kernels/cpu/vec.h"

namespace fovea::bench::ladder {
namespace {

using cpu::Vec;

/// Eight channels where three vectors of each fit into the registers; else four.
constexpr int kChannels = Vec::kRegisters == 32 ? 8 : 4;

/// [channel of x][row][column of the kernel][channel of y in the tile]; channels of y that are not there are 0.
void pack_weights(const Conv2d& s, const float* w, std::int64_t first, float* to) {
  const std::int64_t taps = s.in_channels * s.kernel_height * s.kernel_width;
  for (std::int64_t t = 0; t < taps; ++t)
    for (std::int64_t o = first; o < first + kChannels; ++o)
      *to++ = o < s.out_channels ? w[o * taps + t] : 0.0f;
}

/// As in rung 3, for `channels` channels, of which planes of y lie `plane` apart.
template <int vectors>
void sum_rows(const Conv2d& s, const float* x, const float* w, float* y, std::int64_t channels,
              std::int64_t plane, int last) {
  Vec sums[kChannels][vectors] = {};
  for (std::int64_t c = 0; c < s.in_channels; ++c)
    for (std::int64_t r = 0; r < s.kernel_height; ++r) {
      const float* const from = x + (c * s.in_height + r) * s.in_width;
      for (std::int64_t t = 0; t < s.kernel_width; ++t, w += kChannels) {
        Vec in[vectors];
#pragma GCC unroll 3
        for (int v = 0; v < vectors; ++v)
          in[v] = cpu::load(from + t + v * Vec::kLanes, v + 1 < vectors ? Vec::kLanes : last);
#pragma GCC unroll 8
        for (int o = 0; o < kChannels; ++o) {
          const Vec weight = Vec::all(w[o]);
#pragma GCC unroll 3
          for (int v = 0; v < vectors; ++v) sums[o][v] = fma(in[v], weight, sums[o][v]);
        }
      }
    }
#pragma GCC unroll 8
  for (int o = 0; o < kChannels; ++o)
#pragma GCC unroll 3
    for (int v = 0; v < vectors; ++v)
      if (o < channels)
        cpu::store(y + o * plane + v * Vec::kLanes, v + 1 < vectors ? Vec::kLanes : last, sums[o][v]);
}

}  // namespace

template <class Queue>
void conv2d_tile(Queue& queue, const Conv2d& s, const float* x, const float* w, float* y) {
  constexpr std::int64_t kLanes = Vec::kLanes;
  const std::int64_t P = s.out_height(), Q = s.out_width();
  Scratch<float> packed(queue, s.in_channels * s.kernel_height * s.kernel_width * kChannels, "ladder");
  for (std::int64_t o = 0; o < s.out_channels; o += kChannels) {
    pack_weights(s, w, o, packed.data());
    const std::int64_t channels = s.out_channels - o < kChannels ? s.out_channels - o : kChannels;
    for (std::int64_t n = 0; n < s.batch; ++n)
      for (std::int64_t p = 0; p < P; ++p) {
        const float* const from = x + (n * s.in_channels * s.in_height + p) * s.in_width;
        float* const to = y + ((n * s.out_channels + o) * P + p) * Q;
        for (std::int64_t q = 0; q < Q; q += 3 * kLanes) {
          const std::int64_t left = Q - q < 3 * kLanes ? Q - q : 3 * kLanes,
                             vectors = (left + kLanes - 1) / kLanes;
          const int last = static_cast<int>(left - (vectors - 1) * kLanes);
          if (vectors == 3)
            sum_rows<3>(s, from + q, packed.data(), to + q, channels, P * Q, last);
          else if (vectors == 2)
            sum_rows<2>(s, from + q, packed.data(), to + q, channels, P * Q, last);
          else
            sum_rows<1>(s, from + q, packed.data(), to + q, channels, P * Q, last);
        }
      }
  }
}

template void conv2d_tile(cpu::Queue&, const Conv2d&, const float*, const float*, float*);

}  // namespace fovea::bench::ladder
