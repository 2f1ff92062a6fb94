// SPDX-License-Identifier: Apache-2.0
#pragma once

#include "kernels/simt/chunk.h"
#include "kernels/simt/thread.h"

/// kernels/cuda/async_copy.cuh for the host compiler; included by it only.
///
/// A copy arrives as late as it may, when it is waited for, and until then its destination holds 0xff: a read that
/// comes too early, or a copy that overwrites what others still read, gives NaN. The source is read at once, in the
/// kernel's own code, so that every build's instrumentation sees the accesses where they are written.
namespace fovea::gpu {

template <int kBytes>
void async_copy(void* shared, const void* global, int valid = kBytes, const char* file = __builtin_FILE(),
                unsigned line = __builtin_LINE()) {
  static_assert(kBytes == 4 || kBytes == 8 || kBytes == 16);
  simt::AsyncCopy copy{.to = shared,
                       .from = global,
                       .bytes = kBytes,
                       .valid = static_cast<unsigned>(valid),
                       .data = {},
                       .place = {"async_copy", file, line},
                       .code = __builtin_return_address(0)};
  simt::check_async(copy);
  simt::Chunk<kBytes> chunk{};
  if (valid == kBytes)
    chunk = *static_cast<const simt::Chunk<kBytes>*>(global);
  else
    for (int i = 0; i < kBytes; ++i)
      if (i < valid) chunk.byte[i] = static_cast<const unsigned char*>(global)[i];
  for (int i = 0; i < kBytes; ++i) copy.data[i] = chunk.byte[i];
  for (unsigned char& byte : chunk.byte) byte = 0xff;
  *static_cast<simt::Chunk<kBytes>*>(shared) = chunk;
  simt::async_start(copy);
}

inline void async_commit() { simt::async_commit(); }

template <int kGroups>
void async_wait() {
  static_assert(kGroups >= 0);
  simt::async_wait(kGroups);
}

}  // namespace fovea::gpu
