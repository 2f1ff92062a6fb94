// SPDX-License-Identifier: Apache-2.0
#pragma once

#include "kernels/dtype.h"
#include "kernels/geometry.h"
#include "kernels/queues.h"

namespace fovea::kernels {

/// y = a where mask is not 0, else b, with broadcasting; operands of `shape` are y (0), mask (1), a (2), b
/// (3). dtype is f32 or f64.
FOVEA_KERNEL(where, const Strided& shape, DType dtype, const std::uint8_t* mask, const void* a, const void* b,
             void* y);

}  // namespace fovea::kernels
