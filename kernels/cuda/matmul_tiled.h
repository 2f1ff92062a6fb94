// SPDX-License-Identifier: Apache-2.0
#pragma once

#include "kernels/dtype.h"
#include "kernels/geometry.h"
#include "kernels/queues.h"

namespace fovea::kernels {

/// What kernels/ops/matmul.h promises, by our own kernel (kernels/cuda/matmul.cu). It is the emulation's
/// matmul; on a GPU matmul is cuBLAS, and this one can be called to compare.
void matmul_tiled(simt::Grid& queue, const Matmul& shape, DType dtype, const void* a, const void* b, void* c);
void matmul_tiled(cuda::Stream& queue, const Matmul& shape, DType dtype, const void* a, const void* b,
                  void* c);

}  // namespace fovea::kernels
