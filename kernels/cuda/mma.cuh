// SPDX-License-Identifier: Apache-2.0
#pragma once

#include "kernels/simt/simt.h"

/// The tensor core instructions of sm_80, one function each: PTX under nvcc, arithmetic of a whole warp under the
/// host compiler (kernels/simt/tensor_cores.h). All 32 lanes of a warp must call them together.
///
///   mma_tf32(d, a, b)   d[16][8] += a[16][8]·b[8][8]     mma.sync.aligned.m16n8k8.row.col.f32.tf32.tf32.f32
///   mma_bf16(d, a, b)   d[16][8] += a[16][16]·b[16][8]   mma.sync.aligned.m16n8k16.row.col.f32.bf16.bf16.f32
///   mma_f16(d, a, b)    the same of f16                  mma.sync.aligned.m16n8k16.row.col.f32.f16.f16.f32
///   load_matrices<N, kTranspose>(r, row)                 ldmatrix.sync.aligned.m8n8.xN[.trans].shared.b16
///   to_tf32(x)                                           cvt.rna.tf32.f32: nearest, ties away from zero
///   to_bf16_pair(low, high)                              cvt.rn.bf16x2.f32: nearest, ties to even; low in the low half
///
/// **Who holds what** (PTX ISA, "Matrix fragments"), with g = lane / 4 and t = lane % 4:
///   d, all         d[i]  row g + 8·(i / 2), column 2t + i % 2
///   tf32           a[i]  row g + 8·(i % 2), column t + 4·(i / 2)
///                  b[i]  row t + 4·i, column g
///   16-bit types   a[i]  row g + 8·(i % 2), columns 2t + 8·(i / 2) in the low half and the next in the high half
///                  b[i]  rows 2t + 8·i and the next, column g
///
/// **load_matrices**: lane 8j + i gives the address of row i of matrix j, 16 bytes of shared memory aligned to 16;
/// of N = 1 or 2 matrices the lanes from 8N on give nothing. r[j] gets elements 2t and 2t + 1 of row g of matrix j,
/// with kTranspose rows 2t and 2t + 1 of column g. So a 16x16 tile of a, quarters in the order top left, bottom left,
/// top right, bottom right, is the a of one mma; and a 16x8 tile of b with rows along k, transposed, is its b.
///
/// **Rounding**: tf32 operands lose their 13 lowest bits (the unit ignores them: truncation), so pass to_tf32(x)
/// where rounding to nearest is wanted. bf16 and f16 are exact. Products are exact; the order of the sum and its
/// rounding are the unit's own (it truncates). The bound to test against: |d − exact| ≤ (k + 1)·2^-23·(|c| + Σ|a·b|)
/// of the operands as the unit sees them, as long as nothing overflows; what is published of the units keeps it, and
/// no GPU of ours has been measured yet. The emulation adds k ascending to c in f32, which keeps it by derivation.
///
/// Older GPUs have no such instruction: below sm_80 the mma functions trap, and a launcher must not come here.
/// source PTX ISA 8.x, sections mma and ldmatrix; Fasi et al. 2021, PeerJ CS 7:e330 (rounding)

#ifdef __CUDACC__

namespace fovea::gpu {

#if !defined(__CUDA_ARCH__) || __CUDA_ARCH__ >= 800
#define FOVEA_MMA(instruction)                                                    \
  asm volatile("mma.sync.aligned." instruction                                    \
               " {%0, %1, %2, %3}, {%4, %5, %6, %7}, {%8, %9}, {%0, %1, %2, %3};" \
               : "+f"(d[0]), "+f"(d[1]), "+f"(d[2]), "+f"(d[3])                   \
               : "r"(a[0]), "r"(a[1]), "r"(a[2]), "r"(a[3]), "r"(b[0]), "r"(b[1]))
#else
#define FOVEA_MMA(instruction) __trap()
#endif

__device__ __forceinline__ void mma_tf32(float (&d)[4], const unsigned (&a)[4], const unsigned (&b)[2]) {
  FOVEA_MMA("m16n8k8.row.col.f32.tf32.tf32.f32");
}
__device__ __forceinline__ void mma_bf16(float (&d)[4], const unsigned (&a)[4], const unsigned (&b)[2]) {
  FOVEA_MMA("m16n8k16.row.col.f32.bf16.bf16.f32");
}
__device__ __forceinline__ void mma_f16(float (&d)[4], const unsigned (&a)[4], const unsigned (&b)[2]) {
  FOVEA_MMA("m16n8k16.row.col.f32.f16.f16.f32");
}
#undef FOVEA_MMA

__device__ __forceinline__ unsigned to_tf32(float x) {
  unsigned bits = 0;
#if !defined(__CUDA_ARCH__) || __CUDA_ARCH__ >= 800
  asm("cvt.rna.tf32.f32 %0, %1;" : "=r"(bits) : "f"(x));
#else
  __trap();
#endif
  return bits;
}

__device__ __forceinline__ unsigned to_bf16_pair(float low, float high) {
  unsigned bits = 0;
#if !defined(__CUDA_ARCH__) || __CUDA_ARCH__ >= 800
  asm("cvt.rn.bf16x2.f32 %0, %1, %2;" : "=r"(bits) : "f"(high), "f"(low));
#else
  __trap();
#endif
  return bits;
}

template <int N, bool kTranspose = false>
__device__ __forceinline__ void load_matrices(unsigned (&r)[N], const void* row) {
  static_assert(N == 1 || N == 2 || N == 4);
  const auto address = static_cast<unsigned>(__cvta_generic_to_shared(row));
  if constexpr (N == 1 && !kTranspose)
    asm volatile("ldmatrix.sync.aligned.m8n8.x1.shared.b16 {%0}, [%1];"
                 : "=r"(r[0])
                 : "r"(address)
                 : "memory");
  else if constexpr (N == 1)
    asm volatile("ldmatrix.sync.aligned.m8n8.x1.trans.shared.b16 {%0}, [%1];"
                 : "=r"(r[0])
                 : "r"(address)
                 : "memory");
  else if constexpr (N == 2 && !kTranspose)
    asm volatile("ldmatrix.sync.aligned.m8n8.x2.shared.b16 {%0, %1}, [%2];"
                 : "=r"(r[0]), "=r"(r[1])
                 : "r"(address)
                 : "memory");
  else if constexpr (N == 2)
    asm volatile("ldmatrix.sync.aligned.m8n8.x2.trans.shared.b16 {%0, %1}, [%2];"
                 : "=r"(r[0]), "=r"(r[1])
                 : "r"(address)
                 : "memory");
  else if constexpr (!kTranspose)
    asm volatile("ldmatrix.sync.aligned.m8n8.x4.shared.b16 {%0, %1, %2, %3}, [%4];"
                 : "=r"(r[0]), "=r"(r[1]), "=r"(r[2]), "=r"(r[3])
                 : "r"(address)
                 : "memory");
  else
    asm volatile("ldmatrix.sync.aligned.m8n8.x4.trans.shared.b16 {%0, %1, %2, %3}, [%4];"
                 : "=r"(r[0]), "=r"(r[1]), "=r"(r[2]), "=r"(r[3])
                 : "r"(address)
                 : "memory");
}

}  // namespace fovea::gpu

#else
#include "kernels/simt/tensor_cores.h"
#endif
