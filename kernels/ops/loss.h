// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstdint>

#include "kernels/queues.h"

/// Losses: a mean over all elements, written to one float in device memory. Gradients are scaled by *dloss.
namespace fovea::kernels {

/// loss = mean(rate - target·log(rate + eps)): the Poisson negative log-likelihood without its constant.
FOVEA_KERNEL(poisson_loss, std::int64_t count, float eps, const float* rate, const float* target,
             float* loss);
/// drate[i] = *dloss/count·(1 - target/(rate + eps)).
FOVEA_KERNEL(poisson_loss_grad, std::int64_t count, float eps, const float* rate, const float* target,
             const float* dloss, float* drate);

/// loss = mean((x - target)²).
FOVEA_KERNEL(mse_loss, std::int64_t count, const float* x, const float* target, float* loss);
/// dx[i] = *dloss·2/count·(x - target).
FOVEA_KERNEL(mse_loss_grad, std::int64_t count, const float* x, const float* target, const float* dloss,
             float* dx);

}  // namespace fovea::kernels
