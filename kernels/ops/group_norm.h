// SPDX-License-Identifier: Apache-2.0
#pragma once

#include "kernels/geometry.h"
#include "kernels/queues.h"

/// Normalisation of slabs x[batch, groups, channels, inner], f32, contiguous, with at least one element: each
/// (sample, group) has statistics of its own, over channels and inner. gamma and beta have groups·channels
/// elements and may be null (1 and 0).
namespace fovea::kernels {

/// y = gamma·(x - mean)·inv_sd + beta, with the biased variance and inv_sd = 1/√(var + eps). Writes mean and
/// inv_sd, [batch, groups].
FOVEA_KERNEL(group_norm, const GroupNorm& shape, float eps, const float* x, const float* gamma,
             const float* beta, float* y, float* mean, float* inv_sd);

/// With g = dy·gamma and x̂ = (x - mean)·inv_sd: dx = inv_sd·(g - mean of g - x̂·mean of g·x̂), the means over a
/// slab; dgamma = Σ dy·x̂ and dbeta = Σ dy over samples and inner. Any of the three may be null and is then not
/// computed.
FOVEA_KERNEL(group_norm_grad, const GroupNorm& shape, const float* x, const float* gamma, const float* mean,
             const float* inv_sd, const float* dy, float* dx, float* dgamma, float* dbeta);

}  // namespace fovea::kernels
