// SPDX-License-Identifier: Apache-2.0
//
// Rung 4: columns are finished one frequency at a time. Once the rows of all channels are transformed, everything that
// belongs to a frequency k along rows is independent of all other k: the columns there, their product with the kernels,
// and the way back. For 40 channels of length 50 that is 0.7 MB, so spectra in both directions never leave the
// second-level cache. Written to memory and read again are only half-transformed rows.
#include "bench/ladder/fft/lanes.h"
#include "bench/ladder/fft/rungs.h"
#include "kernels/cpu/queue.h"

namespace fovea::bench::ladder {

template <class Queue>
void conv2d_fft_columns(Queue& queue, const Conv2d& s, const float* x, const float* w, float* y) {
  const Plan plan = make_plan(s.in_height > s.in_width ? s.in_height : s.in_width);
  const Index L = plan.length, area = L * L, P = s.out_height(), Q = s.out_width();
  const Index image = s.in_channels * s.in_height * s.in_width, out_image = s.out_channels * P * Q;
  const Index groups = (s.in_channels * s.out_channels + Vec::kLanes - 1) / Vec::kLanes;
  // Slabs of one k are padded by a line: 50 of them at a distance of a power of two would share a few cache sets.
  const Index slab = s.in_channels * s.in_height + 1;
  Scratch<Number> weights(queue, area * groups, "ladder"), rows(queue, L * slab, "ladder"),
      in(queue, s.in_channels * L, "ladder"), out(queue, s.out_channels * L, "ladder"),
      back(queue, s.out_channels * P * (L + 1), "ladder"), line_of(queue, area, "ladder"),
      work(queue, 2 * L, "ladder");
  weight_spectra(s, plan, w, weights.data(), line_of.data(), work.data());
  for (Index n = 0; n < s.batch; n += kImages) {
    const Index images = least(kImages, s.batch - n);
    for (Index i = 0; i < s.in_channels * s.in_height; ++i) {  // rows[k][c][row]
      load_row(x + n * image + i * s.in_width, s.in_width, L, image, images, line_of.data());
      line<-1>(plan, line_of.data(), 1, L, L, rows.data() + i, slab, work.data());
    }
    for (Index k = 0; k < L; ++k) {
      for (Index c = 0; c < s.in_channels; ++c)
        line<-1>(plan, rows.data() + k * slab + c * s.in_height, 1, s.in_height, L, in.data() + c * L, 1,
                 work.data());
      for (Index f = 0; f < L; ++f)
        multiply_spectra(s, in.data() + f, L, weights.data() + (k * L + f) * groups, out.data() + f, L);
      for (Index o = 0; o < s.out_channels; ++o)  // back[o][p][k]
        line<1>(plan, out.data() + o * L, 1, L, P, back.data() + o * P * (L + 1) + k, L + 1, work.data());
    }
    for (Index i = 0; i < s.out_channels * P; ++i) {
      line<1>(plan, back.data() + i * (L + 1), 1, L, Q, line_of.data(), 1, work.data());
      store_row(line_of.data(), Q, 1.0f / static_cast<float>(area), out_image, images,
                y + n * out_image + i * Q);
    }
  }
}

template void conv2d_fft_columns(cpu::Queue&, const Conv2d&, const float*, const float*, float*);

}  // namespace fovea::bench::ladder
