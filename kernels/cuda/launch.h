// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cuda_runtime.h>

#include <cstddef>
#include <string>
#include <type_traits>

#include "kernels/cuda/check.h"
#include "kernels/cuda/stream.h"
#include "kernels/range.h"

namespace fovea::cuda {

/// Throws if the last launch failed, with what it asked for: the runtime says "invalid argument" for most. The fault
/// of an earlier kernel can show here, too, and is told as such.
inline void check_launch(const Stream& stream, const char* name, dim3 grid, dim3 block,
                         std::size_t shared_bytes, cudaError_t error) {
  if (error == cudaSuccess) return;
  if (is_kernel_fault(error)) stream.check(error, name);
  const auto extent = [](dim3 e) {
    std::string text = "(";  // appended piece by piece: GCC 12 warns falsely about "(" + std::to_string(…)
    text += std::to_string(e.x) + ", " + std::to_string(e.y) + ", " + std::to_string(e.z) + ")";
    return text;
  };
  throw CudaError(std::string(name) + " on grid " + extent(grid) + ", block " + extent(block) + ", " +
                      std::to_string(shared_bytes) + " bytes of dynamic shared memory",
                  error);
}

/// The only place that launches. Described in kernels/simt/simt.h. In debug builds it waits for the kernel,
/// so that an error carries the name of the kernel that made it.
template <class... P>
void launch(Stream& stream, const char* name, void (*kernel)(P...), dim3 grid, dim3 block,
            std::size_t shared_bytes, std::type_identity_t<P>... args) {
  constexpr std::size_t kSharedWithoutAsking = 48 * 1024;
  const Range range(name);
  stream.make_current();
  stream.launched(name);
  if (shared_bytes > kSharedWithoutAsking)
    check_launch(stream, name, grid, block, shared_bytes,
                 cudaFuncSetAttribute(kernel, cudaFuncAttributeMaxDynamicSharedMemorySize,
                                      static_cast<int>(shared_bytes)));
  kernel<<<grid, block, shared_bytes, stream.get()>>>(args...);
  check_launch(stream, name, grid, block, shared_bytes, cudaGetLastError());
#ifndef NDEBUG
  if (!stream.capturing())
    check_launch(stream, name, grid, block, shared_bytes, cudaStreamSynchronize(stream.get()));
#endif
}

}  // namespace fovea::cuda
