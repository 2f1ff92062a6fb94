// SPDX-License-Identifier: Apache-2.0
#pragma once

#include "kernels/geometry.h"
#include "kernels/queues.h"

/// The rows x[outer, :, inner] of a Reduce, each by itself. m is the row's largest element, S = Σ exp(x − m).
/// A row with NaN or +∞ becomes NaN, as does one that holds nothing but −∞. f32.
namespace fovea::kernels {

/// y = exp(x − m)/S. On the host a quotient whose numerator is below 1.2e-38 is 0.
FOVEA_KERNEL(softmax, const Reduce& shape, const float* x, float* y);
/// dx = y·(dy − Σ dy·y).
FOVEA_KERNEL(softmax_grad, const Reduce& shape, const float* y, const float* dy, float* dx);

/// y = x − m − log S.
FOVEA_KERNEL(log_softmax, const Reduce& shape, const float* x, float* y);
/// dx = dy − exp(y)·Σdy.
FOVEA_KERNEL(log_softmax_grad, const Reduce& shape, const float* y, const float* dy, float* dx);

}  // namespace fovea::kernels
