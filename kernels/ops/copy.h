// SPDX-License-Identifier: Apache-2.0
#pragma once

#include "kernels/dtype.h"
#include "kernels/geometry.h"
#include "kernels/queues.h"

namespace fovea::kernels {

/// y = x, element by element, each with strides of its own (operand 0 is y, operand 1 is x) and with
/// conversion if the types differ. A stride may be negative. Floats convert to integers by truncation; values
/// outside the target's range are undefined.
FOVEA_KERNEL(copy, const Strided& shape, const void* x, DType from, void* y, DType to);

}  // namespace fovea::kernels
