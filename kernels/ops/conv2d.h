// SPDX-License-Identifier: Apache-2.0
#pragma once

#include "kernels/geometry.h"
#include "kernels/queues.h"

/// The three passes of a convolution, f32. x has the strides of the geometry, all else is contiguous.
namespace fovea::kernels {

/// y[n, o, p, q] = bias[o] + Σ_{c,r,s} x[n, c, p + r - padding, q + s - padding]·w[o, c, r, s]; bias may be
/// null.
FOVEA_KERNEL(conv2d, const Conv2d& shape, const float* x, const float* w, const float* bias, float* y);

/// dx[n, c, i, j] = Σ_{o,r,s} dy[n, o, i - r + padding, j - s + padding]·w[o, c, r, s], contiguous.
FOVEA_KERNEL(conv2d_grad_input, const Conv2d& shape, const float* w, const float* dy, float* dx);

/// dw[o, c, r, s] = Σ_{n,p,q} x[n, c, p + r - padding, q + s - padding]·dy[n, o, p, q].
FOVEA_KERNEL(conv2d_grad_weight, const Conv2d& shape, const float* x, const float* dy, float* dw);

}  // namespace fovea::kernels
