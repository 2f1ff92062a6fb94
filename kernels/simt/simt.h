// SPDX-License-Identifier: Apache-2.0
#pragma once

/// Lets one kernel source compile twice: by nvcc for a GPU, by the host compiler for the emulation. The only
/// header that asks which of the two it is, but for those of single instructions (mma.cuh, async_copy.cuh).
/// Each kernels/cuda/X.cu includes it, by access.cuh or block.cuh or itself. Not for other host code: it
/// brings CUDA's global names (threadIdx, float4, min, …).
///
/// Beyond CUDA's own names it supplies
///   gpu::Queue       cuda::Stream or simt::Grid: what the launchers of a .cu file take
///   launch(queue, "name", kernel, grid, block, shared_bytes, args…)
///                    runs the kernel on the queue; args convert to the kernel's parameter types at the call.
///                    throws CudaError or simt::KernelFault, naming the kernel
///   FOVEA_SHARED(type, name, [extent]…)
///                    static shared memory: `FOVEA_SHARED(float, tile, [kRows][kCols + 1]);` declares
///                    float tile[kRows][kCols + 1], aligned to 16 bytes. A single value has no extents
///   FOVEA_DYNAMIC_SHARED(type, name)
///                    type* name = the launch's shared_bytes, aligned to 128 bytes; one per kernel

#ifdef __CUDACC__

#include "kernels/cuda/launch.h"
#include "kernels/cuda/stream.h"

namespace fovea::gpu {
using Queue = cuda::Stream;
}

#define FOVEA_SHARED(type, name, ...) __shared__ __align__(16) type name __VA_ARGS__
#define FOVEA_DYNAMIC_SHARED(type, name)                                 \
  extern __shared__ __align__(128) unsigned char fovea_dynamic_shared[]; \
  type* const name = reinterpret_cast<type*>(fovea_dynamic_shared)

#else

#include <cstddef>
#include <type_traits>

#include "kernels/simt/grid.h"
#include "kernels/simt/intrinsics.h"
#include "kernels/simt/thread.h"
#include "kernels/simt/vector_types.h"

#define __global__
#define __device__
#define __host__
#define __forceinline__ inline
#define __launch_bounds__(...)

// The address of the static identifies the declaration, one for each instantiation of a template: what nvcc
// makes of __shared__. The memory is a heap block of its own, so that AddressSanitizer sees overruns.
#define FOVEA_SHARED(type, name, ...)                           \
  static const char name##_site = 0;                            \
  using name##_shared = std::type_identity_t<type __VA_ARGS__>; \
  name##_shared& name = *static_cast<name##_shared*>(           \
      ::fovea::simt::shared_variable(&name##_site, #name, sizeof(name##_shared), alignof(name##_shared)))
#define FOVEA_DYNAMIC_SHARED(type, name) \
  type* const name = static_cast<type*>(::fovea::simt::dynamic_shared())

namespace fovea::gpu {
using Queue = simt::Grid;
}

namespace fovea::simt {

/// queue.keep() of a context that `free` deletes. Not inline: what counts a shared_ptr's owners is atomic, and a source
/// whose accesses are followed has no library that answers for that.
void keep(Grid& queue, const Launch& launch, void (*thread)(const void*), const void* context,
          void (*free)(const void*));

template <class... P>
void launch(Grid& queue, const char* name, void (*kernel)(P...), dim3 grid, dim3 block,
            std::size_t shared_bytes, std::type_identity_t<P>... args) {
  // Reads of arguments are no loads: a GPU has them in constant memory.
  const auto thread = [=]() FOVEA_NOT_NOTED { kernel(args...); };
  using Thread = decltype(thread);
  const auto run_thread = [](const void* context)
                              FOVEA_NOT_NOTED { (*static_cast<const Thread*>(context))(); };
  const Launch shape{.name = name,
                     .grid = {grid.x, grid.y, grid.z},
                     .block = {block.x, block.y, block.z},
                     .dynamic_shared_bytes = shared_bytes};
  if (queue.capturing())
    keep(queue, shape, run_thread, new Thread(thread),
         [](const void* context) { delete static_cast<const Thread*>(context); });
  else
    queue.run(shape, run_thread, &thread);
}

}  // namespace fovea::simt

#endif
