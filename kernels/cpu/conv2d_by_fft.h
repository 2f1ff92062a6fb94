// SPDX-License-Identifier: Apache-2.0
#pragma once

#include "kernels/cpu/queue.h"
#include "kernels/geometry.h"

/// The three passes of kernels/ops/conv2d.h by Fourier transforms, for shapes that can_use_fft() (conv2d_algorithm.h).
namespace fovea::cpu {

void conv2d_by_fft(Queue& queue, const Conv2d& shape, const float* x, const float* w, const float* bias,
                   float* y);
void grad_input_by_fft(Queue& queue, const Conv2d& shape, const float* w, const float* dy, float* dx);
void grad_weight_by_fft(Queue& queue, const Conv2d& shape, const float* x, const float* dy, float* dw);

}  // namespace fovea::cpu
