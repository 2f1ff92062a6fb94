// SPDX-License-Identifier: Apache-2.0
#pragma once

namespace fovea {

#if FOVEA_HAS_CUDA

/// A named stretch of the host's time that profilers of CUDA programs show (NVTX), from here to the end of the block.
/// Without a profiler it is two calls that do nothing; in a build without CUDA it is nothing.
class Range {
 public:
  explicit Range(const char* name) noexcept;
  ~Range();
  Range(const Range&) = delete;
  Range& operator=(const Range&) = delete;
};

#else

struct Range {
  explicit Range(const char*) noexcept {}
  ~Range() {}  // not trivial: a variable that is used for nothing else draws no warning
  Range(const Range&) = delete;
  Range& operator=(const Range&) = delete;
};

#endif

}  // namespace fovea
