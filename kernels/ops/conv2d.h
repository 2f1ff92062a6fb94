// SPDX-License-Identifier: Apache-2.0
#pragma once

#include "kernels/geometry.h"
#include "kernels/queues.h"

/// The three passes of a convolution, f32. x has the strides of the geometry, all else is contiguous.
///
/// In the formulas i = p·stride + r·dilation - padding at the top, j the same with q, s and the left; c
/// runs over the inputs of o's group, and c' = c - its first. Every extent of w is at least 1, strides and
/// dilations too, paddings at least 0, groups divide both numbers of channels, and the kernel fits into a
/// padded plane.
namespace fovea::kernels {

/// y[n, o, p, q] = bias[o] + Σ_{c,r,s} x[n, c, i, j]·w[o, c', r, s]; bias may be null.
FOVEA_KERNEL(conv2d, const Conv2d& shape, const float* x, const float* w, const float* bias, float* y);

/// dx[n, c, i, j] = Σ dy[n, o, p, q]·w[o, c', r, s] over the o of c's group and all p, q, r, s that give i,
/// j; contiguous.
FOVEA_KERNEL(conv2d_grad_input, const Conv2d& shape, const float* w, const float* dy, float* dx);

/// dw[o, c', r, s] = Σ_{n,p,q} x[n, c, i, j]·dy[n, o, p, q].
FOVEA_KERNEL(conv2d_grad_weight, const Conv2d& shape, const float* x, const float* dy, float* dw);

}  // namespace fovea::kernels
