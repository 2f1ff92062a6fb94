// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstdint>

/// This executable's operator new counts, and fails where it is told to: on any thread, in any library.
namespace fovea::test {

/// While alive, the n-th operator new (1: the next) throws std::bad_alloc, and with `from_then_on` all that follow it.
/// n = 0 only counts. One at a time.
class HostFault {
 public:
  explicit HostFault(std::int64_t n, bool from_then_on = false);
  ~HostFault();
  HostFault(const HostFault&) = delete;
  HostFault& operator=(const HostFault&) = delete;

  /// operator new since construction.
  std::int64_t calls() const;
  /// Whether it has thrown.
  bool hit() const;
};

/// The same for what arenas get from their source, in host memory: from the n-th call on there is none, as an arena
/// asks twice. The tests are linked so that these calls come here (see tests/CMakeLists.txt).
class SourceFault {
 public:
  explicit SourceFault(std::int64_t n);
  ~SourceFault();
  SourceFault(const SourceFault&) = delete;
  SourceFault& operator=(const SourceFault&) = delete;
  std::int64_t calls() const;
};

/// Blocks of operator new that have not been deleted.
std::int64_t live_host_blocks();

}  // namespace fovea::test
