// SPDX-License-Identifier: Apache-2.0
#pragma once

#include "kernels/geometry.h"
#include "kernels/queues.h"

/// Normalisation of columns: x[outer, width, inner], f32, contiguous, with at least one element. Each (outer,
/// inner) has statistics of its own, over width. gamma and beta [width] may be null (1 and 0). With inner = 1 the
/// columns are rows: group_norm does that in fewer passes.
namespace fovea::kernels {

/// y = gamma·(x - mean)·inv_sd + beta, with the biased variance and inv_sd = 1/√(var + eps). Writes mean and
/// inv_sd, [outer, inner].
FOVEA_KERNEL(layer_norm_channels, const Reduce& shape, float eps, const float* x, const float* gamma,
             const float* beta, float* y, float* mean, float* inv_sd);

/// With g = dy·gamma and x̂ = (x - mean)·inv_sd: dx = inv_sd·(g - mean of g - x̂·mean of g·x̂), the means over
/// width; dgamma = Σ dy·x̂ and dbeta = Σ dy over outer and inner. Any of the three may be null and is then not
/// computed.
FOVEA_KERNEL(layer_norm_channels_grad, const Reduce& shape, const float* x, const float* gamma,
             const float* mean, const float* inv_sd, const float* dy, float* dx, float* dgamma, float* dbeta);

}  // namespace fovea::kernels
