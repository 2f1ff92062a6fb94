// SPDX-License-Identifier: Apache-2.0
#pragma once

#include "kernels/dtype.h"
#include "kernels/queues.h"

/// dtype is f32 or f64; arrays are contiguous.
namespace fovea::kernels {

/// y[o, 0, i] = max(x[o, i], 0), y[o, 1, i] = max(−x[o, i], 0) for o < outer and i < inner; NaN stays.
FOVEA_KERNEL(crelu, std::int64_t outer, std::int64_t inner, DType dtype, const void* x, void* y);

/// dx[o, i] = dy[o, 0, i] where y[o, 0, i] > 0, minus dy[o, 1, i] where y[o, 1, i] > 0.
FOVEA_KERNEL(crelu_grad, std::int64_t outer, std::int64_t inner, DType dtype, const void* y, const void* dy,
             void* dx);

}  // namespace fovea::kernels
