// SPDX-License-Identifier: Apache-2.0
#pragma once

#include "kernels/geometry.h"
#include "kernels/queues.h"

/// Batch normalisation of x[batch, channels, inner], f32, contiguous (Ioffe and Szegedy 2015).
/// Statistics of a channel run over batch and inner. gamma and beta may be null (1 and 0).
namespace fovea::kernels {

/// y = gamma·(x - mean)·inv_sd + beta with the statistics of this batch: biased variance, inv_sd = 1/√(var +
/// eps). Writes mean and inv_sd, and moves the running values: running ← (1 - momentum)·running +
/// momentum·batch, where the batch's variance is the unbiased one (as it is for a single element).
FOVEA_KERNEL(batch_norm_train, const BatchNorm& shape, float eps, float momentum, const float* x,
             const float* gamma, const float* beta, float* running_mean, float* running_var, float* y,
             float* mean, float* inv_sd);

/// y = gamma·(x - running_mean)/√(running_var + eps) + beta.
FOVEA_KERNEL(batch_norm_inference, const BatchNorm& shape, float eps, const float* x, const float* gamma,
             const float* beta, const float* running_mean, const float* running_var, float* y);

/// Gradients of batch_norm_train; any of dx, dgamma, dbeta may be null and is then not computed.
FOVEA_KERNEL(batch_norm_train_grad, const BatchNorm& shape, const float* x, const float* gamma,
             const float* mean, const float* inv_sd, const float* dy, float* dx, float* dgamma, float* dbeta);

/// Gradients of batch_norm_inference, whose statistics are constants.
FOVEA_KERNEL(batch_norm_inference_grad, const BatchNorm& shape, float eps, const float* x, const float* gamma,
             const float* running_mean, const float* running_var, const float* dy, float* dx, float* dgamma,
             float* dbeta);

}  // namespace fovea::kernels
