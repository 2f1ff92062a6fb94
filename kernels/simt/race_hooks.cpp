// SPDX-License-Identifier: Apache-2.0
/// The functions that g++ -fsanitize=thread calls before each load and store. Kernels compiled with that
/// option and linked without it (FOVEA_RACES) report to the scheduler instead of to ThreadSanitizer, which
/// knows nothing of blocks and barriers. In other builds nobody calls these.
#if !defined(__SANITIZE_THREAD__)

#include <cstddef>

#include "kernels/simt/thread.h"

// NOLINTBEGIN: the names are the compiler's
#define FOVEA_HOOK(size)                                                   \
  void __tsan_read##size(const void* p) {                                  \
    fovea::simt::note_access(p, size, false, __builtin_return_address(0)); \
  }                                                                        \
  void __tsan_write##size(const void* p) {                                 \
    fovea::simt::note_access(p, size, true, __builtin_return_address(0));  \
  }                                                                        \
  void __tsan_unaligned_read##size(const void* p) {                        \
    fovea::simt::note_access(p, size, false, __builtin_return_address(0)); \
  }                                                                        \
  void __tsan_unaligned_write##size(const void* p) {                       \
    fovea::simt::note_access(p, size, true, __builtin_return_address(0));  \
  }

extern "C" {
FOVEA_HOOK(1)
FOVEA_HOOK(2)
FOVEA_HOOK(4)
FOVEA_HOOK(8)
FOVEA_HOOK(16)
void __tsan_read_range(const void* p, std::size_t bytes) {
  fovea::simt::note_access(p, bytes, false, __builtin_return_address(0));
}
void __tsan_write_range(const void* p, std::size_t bytes) {
  fovea::simt::note_access(p, bytes, true, __builtin_return_address(0));
}
void __tsan_init() {}
void __tsan_func_entry(void*) {}
void __tsan_func_exit() {}
void __tsan_vptr_update(void**, void*) {}
void __tsan_vptr_read(void**) {}
}
// NOLINTEND

#endif
