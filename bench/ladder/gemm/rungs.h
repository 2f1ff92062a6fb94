// SPDX-License-Identifier: Apache-2.0
#pragma once

#include "kernels/geometry.h"

/// The rungs of matrix multiplication: c[m, n] = a[m, k]·b[k, n], all contiguous, none transposed; one thread.
/// Templates are instantiated for the three CPU queues, each in the object of its instruction set.
namespace fovea::bench::ladder {

void gemm_triple_loop(const Matmul& shape, const float* a, const float* b, float* c);  // 1_triple_loop.cpp
void gemm_row_updates(const Matmul& shape, const float* a, const float* b, float* c);  // 2_row_updates.cpp
template <class Queue>
void gemm_row_sums(Queue&, const Matmul& shape, const float* a, const float* b, float* c);  // 3_row_sums.cpp
template <class Queue>
void gemm_tile(Queue&, const Matmul& shape, const float* a, const float* b, float* c);  // 4_tile.cpp
template <class Queue>
void gemm_packed(Queue&, const Matmul& shape, const float* a, const float* b, float* c);  // 5_packed.cpp

}  // namespace fovea::bench::ladder
