// SPDX-License-Identifier: Apache-2.0
#include "bench/onednn/library.h"

#include <fmt/format.h>

#include <cstdlib>

#include "bench/dynamic_library.h"

namespace fovea::bench::onednn {
namespace {

template <class F>
void find(const DynamicLibrary& from, const char* name, F& function) {
  function = reinterpret_cast<F>(function_of(from, name));
  if (function == nullptr)
    throw OnednnError(fmt::format("{} has no {}: oneDNN 3 with OpenMP is needed", from.path, name));
}

}  // namespace

std::vector<std::string> library_paths() {
  std::vector<std::string> paths;
  if (const std::string configured = FOVEA_ONEDNN_LIBRARY; !configured.empty()) paths.push_back(configured);
  paths.push_back("libdnnl.so.3");
  return paths;
}

Library load(const std::vector<std::string>& paths) {
  // Its threads spin for some 0.3 ms after their work, which is longer than the gap between two primitives and much
  // shorter than the pause before the next side's turn (bench/clock.cpp).
  setenv("GOMP_SPINCOUNT", "30000", 0);
  const DynamicLibrary from = open_first(paths);
  if (from.handle == nullptr) throw OnednnError("oneDNN cannot be loaded: " + from.path);
  Library found;
#define FOVEA_ONEDNN_FIND(name) find(from, #name, found.name);
  FOVEA_ONEDNN_FUNCTIONS(FOVEA_ONEDNN_FIND)
#undef FOVEA_ONEDNN_FIND
  find(from, "omp_set_num_threads", found.omp_set_num_threads);
  return found;
}

const Library& library() {
  static const Library loaded = load(library_paths());  // if it throws, the next call tries again
  return loaded;
}

std::string version() {
  const dnnl_version_t* const v = library().dnnl_version();
  return fmt::format("{}.{}.{}", v->major, v->minor, v->patch);
}

void check(dnnl_status_t status, const char* call) {
  if (status == dnnl_success) return;
  throw OnednnError(fmt::format("{}: {}", call,
                                status == dnnl_unimplemented   ? "unimplemented"
                                : status == dnnl_out_of_memory ? "out of memory"
                                : status == dnnl_invalid_arguments
                                    ? "invalid arguments"
                                    : fmt::format("status {}", static_cast<int>(status))));
}

}  // namespace fovea::bench::onednn
