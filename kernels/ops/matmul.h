// SPDX-License-Identifier: Apache-2.0
#pragma once

#include "kernels/dtype.h"
#include "kernels/geometry.h"
#include "kernels/queues.h"

namespace fovea::kernels {

/// c[m, n] = a·b, contiguous, f32 or f64; with k = 0 the result is 0.
///
/// cpu: our own blocks; small, thin and f64 ones are single-threaded BLAS calls. All are cut by shape. cuda: cuBLAS.
/// simt: our tiled kernels. The latter two round f32 operands as the queue's math() says (kernels/math.h).
FOVEA_KERNEL(matmul, const Matmul& shape, DType dtype, const void* a, const void* b, void* c);

}  // namespace fovea::kernels
