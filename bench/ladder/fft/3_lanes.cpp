// SPDX-License-Identifier: Apache-2.0
//
// Rung 3: the same transform on vectors. A lane holds a pair of images, one in the real and one in the imaginary part,
// so 16 lanes carry 32 images through each step, and no step moves anything between lanes. The text of the transform is
// that of rung 2; only the type of its numbers is another one. Kernels are transformed 16 at a time. All spectra of the
// 32 images are written (13 MB) before they are multiplied: they leave the second-level cache and come back.
#include "bench/ladder/fft/lanes.h"
#include "bench/ladder/fft/rungs.h"
#include "kernels/cpu/queue.h"

namespace fovea::bench::ladder {

template <class Queue>
void conv2d_fft_lanes(Queue& queue, const Conv2d& s, const float* x, const float* w, float* y) {
  const Plan plan = make_plan(s.in_height > s.in_width ? s.in_height : s.in_width);
  const Index L = plan.length, area = L * L, P = s.out_height(), Q = s.out_width();
  const Index image = s.in_channels * s.in_height * s.in_width, out_image = s.out_channels * P * Q;
  const Index groups = (s.in_channels * s.out_channels + Vec::kLanes - 1) / Vec::kLanes;
  Scratch<Number> weights(queue, area * groups, "ladder"), in(queue, s.in_channels * area, "ladder"),
      out(queue, s.out_channels * area, "ladder"), lines(queue, area, "ladder"), work(queue, 2 * L, "ladder");
  weight_spectra(s, plan, w, weights.data(), lines.data(), work.data());
  for (Index n = 0; n < s.batch; n += kImages) {
    const Index images = least(kImages, s.batch - n);
    for (Index c = 0; c < s.in_channels; ++c) {
      for (Index i = 0; i < s.in_height; ++i) {
        Number* const row = lines.data() + i * L;
        OneByOne::load(x + n * image + (c * s.in_height + i) * s.in_width, s.in_width, L, image, images, row);
        line<-1>(plan, row, 1, L, L, row, 1, work.data());
      }
      for (Index k = 0; k < L; ++k)
        line<-1>(plan, lines.data() + k, L, s.in_height, L, in.data() + c * area + k * L, 1, work.data());
    }
    for (Index i = 0; i < area; ++i)
      multiply_spectra(s, in.data() + i, area, weights.data() + i * groups, out.data() + i, area);
    for (Index o = 0; o < s.out_channels; ++o) {
      for (Index k = 0; k < L; ++k)
        line<1>(plan, out.data() + o * area + k * L, 1, L, P, lines.data() + k, L, work.data());
      for (Index p = 0; p < P; ++p) {
        Number* const row = lines.data() + p * L;
        line<1>(plan, row, 1, L, Q, row, 1, work.data());
        OneByOne::store(row, Q, 1.0f / static_cast<float>(area), out_image, images,
                        y + n * out_image + (o * P + p) * Q);
      }
    }
  }
}

template void conv2d_fft_lanes(cpu::Queue&, const Conv2d&, const float*, const float*, float*);

}  // namespace fovea::bench::ladder
