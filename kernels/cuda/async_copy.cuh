// SPDX-License-Identifier: Apache-2.0
#pragma once

#include "kernels/simt/simt.h"

/// Copies from global to shared memory that run while the thread goes on (cp.async, sm_80): PTX under nvcc, under the
/// host compiler kernels/simt/async_copy.h. On older GPUs they are plain copies, done at once.
///
///   async_copy<kBytes>(shared, global, valid = kBytes)
///                 starts a copy of 4, 8 or 16 bytes; both addresses are multiples of kBytes. Only the first `valid`
///                 bytes are read, the rest become zeros: 0 for what lies outside of a matrix
///   async_commit()             puts the copies that this thread has started since its last commit into a group
///   async_wait<kGroups>()      returns when all but the latest kGroups groups of this thread have arrived
///
/// From the start of a copy to the end of the wait, the shared bytes are undefined and the global bytes must not
/// change. A wait is for the thread's own copies: __syncthreads() after it makes those of the others visible. Copies
/// of 16 bytes go past the first-level cache (.cg), narrower ones through it (.ca).
/// source PTX ISA 8.x, section cp.async

#ifdef __CUDACC__

namespace fovea::gpu {

template <int kBytes>
__device__ __forceinline__ void async_copy(void* shared, const void* global, int valid = kBytes) {
  static_assert(kBytes == 4 || kBytes == 8 || kBytes == 16);
#if !defined(__CUDA_ARCH__) || __CUDA_ARCH__ >= 800
  const auto to = static_cast<unsigned>(__cvta_generic_to_shared(shared));
  if constexpr (kBytes == 16)
    asm volatile("cp.async.cg.shared.global [%0], [%1], 16, %2;" ::"r"(to), "l"(global), "r"(valid)
                 : "memory");
  else
    asm volatile("cp.async.ca.shared.global [%0], [%1], %2, %3;" ::"r"(to), "l"(global), "n"(kBytes),
                 "r"(valid)
                 : "memory");
#else
  for (int i = 0; i < kBytes; ++i)
    static_cast<unsigned char*>(shared)[i] = i < valid ? static_cast<const unsigned char*>(global)[i] : 0;
#endif
}

__device__ __forceinline__ void async_commit() {
#if !defined(__CUDA_ARCH__) || __CUDA_ARCH__ >= 800
  asm volatile("cp.async.commit_group;" ::: "memory");
#endif
}

template <int kGroups>
__device__ __forceinline__ void async_wait() {
#if !defined(__CUDA_ARCH__) || __CUDA_ARCH__ >= 800
  asm volatile("cp.async.wait_group %0;" ::"n"(kGroups) : "memory");
#endif
}

}  // namespace fovea::gpu

#else
#include "kernels/simt/async_copy.h"
#endif
