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

template <class Queue>
void conv2d_fft_columns(Queue& queue, const Conv2d& s, const float* x, const float* w, float* y) {
  convolve_by_columns<OneByOne>(queue, s, x, w, y);
}

template void conv2d_fft_columns(cpu::Queue&, const Conv2d&, const float*, const float*, float*);

}  // namespace fovea::bench::ladder
