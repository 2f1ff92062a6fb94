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

/// Blocks of operator new that have not been deleted.
std::int64_t live_host_blocks();

}  // namespace fovea::test
