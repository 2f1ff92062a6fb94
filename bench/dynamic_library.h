// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <string>
#include <vector>

namespace fovea::bench {

/// A library that is loaded when it is asked for, never unloaded.
struct DynamicLibrary {
  void* handle = nullptr;
  std::string path;  ///< or, without a handle, why none could be loaded: a reason for each path
};

/// The first of the paths that can be loaded.
DynamicLibrary open_first(const std::vector<std::string>& paths);

/// Null if the library has no such function.
void* function_of(const DynamicLibrary& library, const char* name);

}  // namespace fovea::bench
