// SPDX-License-Identifier: Apache-2.0
#pragma once

#include "kernels/function.h"
#include "kernels/queues.h"

namespace fovea::kernels {

/// y[n, c, i] = f(x[n, c, i] + bias[c]) in one pass, f32, contiguous. f is one of identity, relu, softplus,
/// sigmoid, tanh, exp, elu: those whose slope follows from y. y may be x.
FOVEA_KERNEL(bias_activation, Function f, std::int64_t batch, std::int64_t channels, std::int64_t inner,
             const float* x, const float* bias, float* y);

/// dx = dy·f'(y). The bias gradient is channel_sum(dx). dx may be dy.
FOVEA_KERNEL(bias_activation_grad, Function f, std::int64_t count, const float* y, const float* dy,
             float* dx);

}  // namespace fovea::kernels
