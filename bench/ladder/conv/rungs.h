// SPDX-License-Identifier: Apache-2.0
#pragma once

#include "kernels/geometry.h"

/// The rungs of direct convolution, y[n, o, p, q] = Σ_{c,r,s} x[n, c, p + r, q + s]·w[o, c, r, s]: stride 1, neither
/// padding nor groups, which would add cases to each loop and nothing to what a rung shows. All contiguous; one thread.
/// Templates are instantiated for the three CPU queues, each in the object of its instruction set.
namespace fovea::bench::ladder {

void conv2d_loops(const Conv2d& shape, const float* x, const float* w, float* y);        // 1_loops.cpp
void conv2d_row_updates(const Conv2d& shape, const float* x, const float* w, float* y);  // 2_row_updates.cpp
template <class Queue>
void conv2d_row_sums(Queue&, const Conv2d& shape, const float* x, const float* w,
                     float* y);  // 3_row_sums.cpp
template <class Queue>
void conv2d_tile(Queue&, const Conv2d& shape, const float* x, const float* w, float* y);  // 4_tile.cpp
template <class Queue>
void conv2d_images(Queue&, const Conv2d& shape, const float* x, const float* w, float* y);  // 5_images.cpp

}  // namespace fovea::bench::ladder
