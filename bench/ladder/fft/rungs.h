// SPDX-License-Identifier: Apache-2.0
#pragma once

#include "kernels/geometry.h"

/// The rungs of convolution by Fourier transform, of the same problem as bench/ladder/conv/rungs.h: with X and W the
/// two-dimensional spectra of a plane of x and of a kernel, Y[n, o] = Σ_c X[n, c]·conj(W[o, c]) at each frequency.
///
/// The transforms are as long as a side of x, or a little longer, and the convolution they stand for is circular: rows
/// and columns beyond x wrap into its first ones. That spoils only results that reach over the edge of x, and a
/// convolution without padding asks for none of these.
namespace fovea::bench::ladder {

void conv2d_dft_matrix(const Conv2d& shape, const float* x, const float* w, float* y);  // 1_matrix.cpp
void conv2d_fft_scalar(const Conv2d& shape, const float* x, const float* w, float* y);  // 2_scalar.cpp
template <class Queue>
void conv2d_fft_lanes(Queue&, const Conv2d& shape, const float* x, const float* w, float* y);  // 3_lanes.cpp
template <class Queue>
void conv2d_fft_columns(Queue&, const Conv2d& shape, const float* x, const float* w,
                        float* y);  // 4_columns.cpp
template <class Queue>
void conv2d_fft_transposed(Queue&, const Conv2d& shape, const float* x, const float* w,
                           float* y);  // 5_transposed.cpp

}  // namespace fovea::bench::ladder
