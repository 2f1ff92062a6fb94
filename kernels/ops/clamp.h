// SPDX-License-Identifier: Apache-2.0
#pragma once

#include "kernels/dtype.h"
#include "kernels/queues.h"

/// dtype is f32 or f64 and holds for all operands of a call; arrays are contiguous.
namespace fovea::kernels {

/// y[i] = x[i] moved into low..high; NaN stays. y may be x.
FOVEA_KERNEL(clamp, std::int64_t count, DType dtype, double low, double high, const void* x, void* y);

/// dx[i] = dy[i] where low ≤ x[i] ≤ high, else 0. dx may be dy.
FOVEA_KERNEL(clamp_grad, std::int64_t count, DType dtype, double low, double high, const void* x,
             const void* dy, void* dx);

}  // namespace fovea::kernels
