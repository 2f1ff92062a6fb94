// SPDX-License-Identifier: Apache-2.0
#include "bench/dynamic_library.h"

#include <dlfcn.h>

namespace fovea::bench {

DynamicLibrary open_first(const std::vector<std::string>& paths) {
  std::string reasons;
  for (const std::string& path : paths) {
    if (void* const handle = dlopen(path.c_str(), RTLD_NOW | RTLD_LOCAL); handle != nullptr)
      return {handle, path};
    const char* const reason = dlerror();
    reasons += (reasons.empty() ? "" : "; ") + std::string(reason != nullptr ? reason : path);
  }
  return {nullptr, reasons};
}

void* function_of(const DynamicLibrary& library, const char* name) { return dlsym(library.handle, name); }

}  // namespace fovea::bench
