// SPDX-License-Identifier: Apache-2.0
//
// Rung 4: columns are finished one frequency at a time. Once the rows of all channels are transformed, everything that
// belongs to a frequency k along rows is independent of all other k: the columns there, their product with the kernels,
// and the way back. For 40 channels of length 50 that is 0.7 MB, so spectra in both directions never leave the
// second-level cache. Written to memory and read again are only half-transformed rows.
#include "bench/ladder/fft/columns.h"
#include "bench/ladder/fft/rungs.h"
#include "kernels/cpu/queue.h"

namespace fovea::bench::ladder {
namespace {

/// As in rung 3.
struct OneByOne {
  static void load(const float* x, Index width, Index length, Index stride, Index images, Number* to) {
    load_row(x, width, length, stride, images, to);
  }
  static void store(const Number* from, Index width, float scale, Index stride, Index images, float* y) {
    store_row(from, width, scale, stride, images, y);
  }
};

}  // namespace

template <class Queue>
void conv2d_fft_columns(Queue& queue, const Conv2d& s, const float* x, const float* w, float* y) {
  convolve_by_columns<OneByOne>(queue, s, x, w, y);
}

template void conv2d_fft_columns(cpu::Queue&, const Conv2d&, const float*, const float*, float*);

}  // namespace fovea::bench::ladder
