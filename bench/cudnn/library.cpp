// SPDX-License-Identifier: Apache-2.0
#include "bench/cudnn/library.h"

#include <fmt/format.h>

#include <array>

#include "bench/dynamic_library.h"

namespace fovea::bench::cudnn {
namespace {

template <class F>
void find(const DynamicLibrary& from, const char* name, F& function) {
  function = reinterpret_cast<F>(function_of(from, name));
  if (function == nullptr) throw CudnnError(fmt::format("{} has no {}: cuDNN 9 is needed", from.path, name));
}

}  // namespace

std::vector<std::string> library_paths() {
  std::vector<std::string> paths{"libcudnn.so.9"};
  if (const std::string configured = FOVEA_CUDNN_LIBRARY; !configured.empty()) paths.push_back(configured);
  return paths;
}

Library load(const std::vector<std::string>& paths) {
  const DynamicLibrary from = open_first(paths);
  if (from.handle == nullptr) throw CudnnError("cuDNN cannot be loaded: " + from.path);
  Library found;
#define FOVEA_CUDNN_FIND(name) find(from, #name, found.name);
  FOVEA_CUDNN_FUNCTIONS(FOVEA_CUDNN_FIND)
#undef FOVEA_CUDNN_FIND
  return found;
}

const Library& library() {
  static const Library loaded = load(library_paths());  // if it throws, the next call tries again
  return loaded;
}

std::string version() {
  const std::size_t number = library().cudnnGetVersion();
  return fmt::format("{}.{}.{}", number / 10000, number / 100 % 100, number % 100);
}

void check(cudnnStatus_t status, const char* call) {
  if (status == CUDNN_STATUS_SUCCESS) return;
  std::array<char, 1024> last{};
  library().cudnnGetLastErrorString(last.data(), last.size());
  throw CudnnError(fmt::format("{}: {}{}{}", call, library().cudnnGetErrorString(status),
                               last[0] != '\0' ? ": " : "", last.data()));
}

}  // namespace fovea::bench::cudnn
