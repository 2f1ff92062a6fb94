// SPDX-License-Identifier: Apache-2.0
#pragma once

#include "kernels/cuda/mma.cuh"
#include "kernels/math.h"

/// tf32 and bf16 behind one face, so that a kernel is one template for both: an operand in shared memory is an array
/// of 32-bit *words*, each one tf32 value or two bf16 values that follow each other along the summed index, and an
/// mma takes 8 words of it in either type:
///   d[16][8] += a[16][8 words]·b[8 words][8]
///   a[i]  row g + 8·(i % 2), word t + 4·(i / 2);   b[i]  word t + 4·i, column g;   g = lane / 4, t = lane % 4
/// So load_matrices, which moves 4 words of a row at a time, deals out both, too.
namespace fovea::gpu {

constexpr int kMmaWords = 8;  // of the summed index in one mma

/// Values in a word.
template <Math kMath>
inline constexpr int kWordValues = kMath == Math::bf16 ? 2 : 1;

/// value(0), or value(0) and value(1), rounded to nearest.
template <Math kMath, class Value>
__device__ __forceinline__ unsigned word_of(const Value& value) {
  static_assert(kMath != Math::fp32);
  if constexpr (kMath == Math::bf16)
    return to_bf16_pair(value(0), value(1));
  else
    return to_tf32(value(0));
}

template <Math kMath>
__device__ __forceinline__ void multiply_words(float (&d)[4], const unsigned (&a)[4],
                                               const unsigned (&b)[2]) {
  static_assert(kMath != Math::fp32);
  if constexpr (kMath == Math::bf16)
    mma_bf16(d, a, b);
  else
    mma_tf32(d, a, b);
}

}  // namespace fovea::gpu
