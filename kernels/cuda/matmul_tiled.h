// SPDX-License-Identifier: Apache-2.0
#pragma once

#include "kernels/dtype.h"
#include "kernels/geometry.h"
#include "kernels/queues.h"

namespace fovea::kernels {

/// What kernels/ops/matmul.h promises, by our own kernels: kernels/cuda/matmul.cu, and matmul_mma for f32 operands
/// where queue.math() is not fp32. They are the emulation's matmul; on a GPU matmul is cuBLAS, and this one can be
/// called to compare.
void matmul_tiled(simt::Grid& queue, const Matmul& shape, DType dtype, const void* a, const void* b, void* c);
void matmul_tiled(cuda::Stream& queue, const Matmul& shape, DType dtype, const void* a, const void* b,
                  void* c);

/// f32 operands rounded as queue.math() says, tf32 or bf16, by tensor cores (kernels/cuda/matmul_mma.cu).
void matmul_mma(simt::Grid& queue, const Matmul& shape, const float* a, const float* b, float* c);
void matmul_mma(cuda::Stream& queue, const Matmul& shape, const float* a, const float* b, float* c);

}  // namespace fovea::kernels
