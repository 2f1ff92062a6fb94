// SPDX-License-Identifier: Apache-2.0
#pragma once

#include "bench/ladder/fft/lanes.h"

/// What rungs 4 and 5 share: all of the convolution but how a row is loaded and stored.
namespace fovea::bench::ladder {
namespace {

/// Rows  OneByOne or a class like it
template <class Rows, class Queue>
void convolve_by_columns(Queue& queue, const Conv2d& s, const float* x, const float* w, float* y) {
  const Plan plan = make_plan(s.in_height > s.in_width ? s.in_height : s.in_width);
  const Index L = plan.length, area = L * L, P = s.out_height(), Q = s.out_width();
  const Index image = s.in_channels * s.in_height * s.in_width, out_image = s.out_channels * P * Q;
  const Index groups = (s.in_channels * s.out_channels + Vec::kLanes - 1) / Vec::kLanes;
  // What belongs to one k is followed by an unused number: distances of a power of two would share a few cache sets.
  const Index slab = s.in_channels * s.in_height + 1;
  Scratch<Number> weights(queue, area * groups, "ladder"), rows(queue, L * slab, "ladder"),
      in(queue, s.in_channels * L, "ladder"), out(queue, s.out_channels * L, "ladder"),
      back(queue, s.out_channels * P * (L + 1), "ladder"), one_row(queue, area, "ladder"),
      work(queue, 2 * L, "ladder");
  weight_spectra(s, plan, w, weights.data(), one_row.data(), work.data());
  for (Index n = 0; n < s.batch; n += kImages) {
    const Index images = least(kImages, s.batch - n);
    for (Index i = 0; i < s.in_channels * s.in_height; ++i) {  // rows[k][channel][row]
      Rows::load(x + n * image + i * s.in_width, s.in_width, L, image, images, one_row.data());
      line<-1>(plan, one_row.data(), 1, L, L, rows.data() + i, slab, work.data());
    }
    for (Index k = 0; k < L; ++k) {
      for (Index c = 0; c < s.in_channels; ++c)
        line<-1>(plan, rows.data() + k * slab + c * s.in_height, 1, s.in_height, L, in.data() + c * L, 1,
                 work.data());
      for (Index f = 0; f < L; ++f)
        multiply_spectra(s, in.data() + f, L, weights.data() + (k * L + f) * groups, out.data() + f, L);
      for (Index o = 0; o < s.out_channels; ++o)  // back[channel][row][k]
        line<1>(plan, out.data() + o * L, 1, L, P, back.data() + o * P * (L + 1) + k, L + 1, work.data());
    }
    for (Index i = 0; i < s.out_channels * P; ++i) {
      line<1>(plan, back.data() + i * (L + 1), 1, L, Q, one_row.data(), 1, work.data());
      Rows::store(one_row.data(), Q, 1.0f / static_cast<float>(area), out_image, images,
                  y + n * out_image + i * Q);
    }
  }
}

}  // namespace
}  // namespace fovea::bench::ladder
