// SPDX-License-Identifier: Apache-2.0
#include "kernels/ops/matmul.h"

#include "kernels/cuda/matmul_tiled.h"

void fovea::kernels::matmul(simt::Grid& queue, const Matmul& shape, DType dtype, const void* a, const void* b,
                            void* c) {
  matmul_tiled(queue, shape, dtype, a, b, c);
}
