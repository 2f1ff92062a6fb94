// SPDX-License-Identifier: Apache-2.0
//
// Rung 5: lanes are images, not columns. x is copied so that the same pixel of 16 images is one vector: then every lane
// computes, whatever the width of a row, and every load is aligned. The copy costs one pass over x, which is read
// hundreds of times. A batch that is no multiple of 16 leaves lanes empty instead: what pays for 32 images is wrong for
// one.
#include "bench/ladder/conv/rungs.h"
#include "kernels/cpu/pool.h"
#include "kernels/cpu/queue.h"
#include "kernels/cpu/vec.h"

namespace fovea::bench::ladder {
namespace {

using cpu::Vec;

constexpr int kChannels = Vec::kRegisters == 32 ? 8 : 4;
constexpr int kPixels = 3;  // of a row, side by side

void pack_weights(const Conv2d& s, const float* w, std::int64_t first, float* to) {
  const std::int64_t taps = s.in_channels * s.kernel_height * s.kernel_width;
  for (std::int64_t t = 0; t < taps; ++t)
    for (std::int64_t o = first; o < first + kChannels; ++o)
      *to++ = o < s.out_channels ? w[o * taps + t] : 0.0f;
}

/// [pixel][image], images that are not there 0.
void pack_images(std::int64_t pixels, std::int64_t images, const float* x, float* to) {
  for (std::int64_t i = 0; i < pixels; ++i)
    for (std::int64_t n = 0; n < Vec::kLanes; ++n) *to++ = n < images ? x[n * pixels + i] : 0.0f;
}

/// `pixels` neighbours in a row of y, of kChannels channels: y[pixel][channel], vectors of images.
template <int pixels>
void sum_pixels(const Conv2d& s, const float* x, const float* w, float* y) {
  Vec sums[kChannels][pixels] = {};
  for (std::int64_t c = 0; c < s.in_channels; ++c)
    for (std::int64_t r = 0; r < s.kernel_height; ++r) {
      const float* from = x + (c * s.in_height + r) * s.in_width * Vec::kLanes;
      for (std::int64_t t = 0; t < s.kernel_width; ++t, from += Vec::kLanes, w += kChannels) {
        Vec in[pixels];
#pragma GCC unroll 3
        for (int v = 0; v < pixels; ++v) in[v] = Vec::load(from + v * Vec::kLanes);
#pragma GCC unroll 8
        for (int o = 0; o < kChannels; ++o) {
          const Vec weight = Vec::all(w[o]);
#pragma GCC unroll 3
          for (int v = 0; v < pixels; ++v) sums[o][v] = fma(in[v], weight, sums[o][v]);
        }
      }
    }
#pragma GCC unroll 8
  for (int o = 0; o < kChannels; ++o)
#pragma GCC unroll 3
    for (int v = 0; v < pixels; ++v) sums[o][v].store(y + (v * kChannels + o) * Vec::kLanes);
}

}  // namespace

template <class Queue>
void conv2d_images(Queue& queue, const Conv2d& s, const float* x, const float* w, float* y) {
  constexpr std::int64_t kLanes = Vec::kLanes;
  const std::int64_t P = s.out_height(), Q = s.out_width(), pixels = s.in_channels * s.in_height * s.in_width;
  Scratch<float> weights(queue, s.in_channels * s.kernel_height * s.kernel_width * kChannels, "ladder"),
      images(queue, pixels * kLanes, "ladder"), sums(queue, kPixels * kChannels * kLanes, "ladder");
  for (std::int64_t n = 0; n < s.batch; n += kLanes) {
    const std::int64_t count = s.batch - n < kLanes ? s.batch - n : kLanes;
    pack_images(pixels, count, x + n * pixels, images.data());
    for (std::int64_t o = 0; o < s.out_channels; o += kChannels) {
      pack_weights(s, w, o, weights.data());
      const std::int64_t channels = s.out_channels - o < kChannels ? s.out_channels - o : kChannels;
      for (std::int64_t p = 0; p < P; ++p)
        for (std::int64_t q = 0; q < Q;) {
          const float* const from = images.data() + (p * s.in_width + q) * kLanes;
          const std::int64_t step = Q - q >= kPixels ? kPixels : 1;
          if (step == kPixels)
            sum_pixels<kPixels>(s, from, weights.data(), sums.data());
          else
            sum_pixels<1>(s, from, weights.data(), sums.data());
          for (std::int64_t v = 0; v < step; ++v, ++q)
            for (std::int64_t k = 0; k < channels; ++k)
              for (std::int64_t i = 0; i < count; ++i)
                y[(((n + i) * s.out_channels + o + k) * P + p) * Q + q] =
                    sums.data()[(v * kChannels + k) * kLanes + i];
        }
    }
  }
}

template void conv2d_images(cpu::Queue&, const Conv2d&, const float*, const float*, float*);

}  // namespace fovea::bench::ladder
