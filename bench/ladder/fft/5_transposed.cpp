// SPDX-License-Identifier: Apache-2.0
//
// Rung 5: squares of 16 images by 16 pixels are transposed in registers. Rung 4 was expected to help and did not: a
// profile shows that half of its time goes into putting pixels into lanes one float at a time, which no order of the
// transforms can change (three million loads and stores of four bytes, and a vector load that waits for sixteen of
// them). Sixteen loads of whole vectors and 64 exchanges within registers do the same for 256 pixels.
#include "bench/ladder/fft/columns.h"
#include "bench/ladder/fft/rungs.h"
#include "kernels/cpu/queue.h"
#include "kernels/cpu/transpose.h"

namespace fovea::bench::ladder {
namespace {

/// Lane l of the rows x, x + 2·stride, … of every second image; rows that are not there are 0.
void load_square(const float* x, int pixels, Index stride, Index rows, Vec (&square)[Vec::kLanes]) {
  for (int l = 0; l < Vec::kLanes; ++l)
    square[l] = l < rows ? cpu::load(x + 2 * l * stride, pixels) : Vec::zero();
  cpu::transpose(square);
}

void store_square(Vec (&square)[Vec::kLanes], int pixels, Index stride, Index rows, float* y) {
  cpu::transpose(square);
  for (int l = 0; l < Vec::kLanes; ++l)
    if (l < rows) cpu::store(y + 2 * l * stride, pixels, square[l]);
}

struct Transposed {
  static void load(const float* x, Index width, Index length, Index stride, Index images, Number* to) {
    for (Index i = 0; i < width; i += Vec::kLanes) {
      const int pixels = static_cast<int>(least(Vec::kLanes, width - i));
      Vec re[Vec::kLanes], im[Vec::kLanes];
      load_square(x + i, pixels, stride, (images + 1) / 2, re);
      load_square(x + stride + i, pixels, stride, images / 2, im);
      for (int j = 0; j < pixels; ++j) to[i + j] = {re[j], im[j]};
    }
    for (Index i = width; i < length; ++i) to[i] = {Vec::zero(), Vec::zero()};
  }

  static void store(const Number* from, Index width, float scale, Index stride, Index images, float* y) {
    const Vec factor = Vec::all(scale);
    for (Index i = 0; i < width; i += Vec::kLanes) {
      const int pixels = static_cast<int>(least(Vec::kLanes, width - i));
      Vec re[Vec::kLanes], im[Vec::kLanes];
      for (int j = 0; j < Vec::kLanes; ++j) {
        re[j] = j < pixels ? factor * from[i + j].re : Vec::zero();
        im[j] = j < pixels ? factor * from[i + j].im : Vec::zero();
      }
      store_square(re, pixels, stride, (images + 1) / 2, y + i);
      store_square(im, pixels, stride, images / 2, y + stride + i);
    }
  }
};

}  // namespace

template <class Queue>
void conv2d_fft_transposed(Queue& queue, const Conv2d& s, const float* x, const float* w, float* y) {
  convolve_by_columns<Transposed>(queue, s, x, w, y);
}

template void conv2d_fft_transposed(cpu::Queue&, const Conv2d&, const float*, const float*, float*);

}  // namespace fovea::bench::ladder
