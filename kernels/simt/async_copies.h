// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <utility>
#include <vector>

#include "kernels/simt/thread.h"

namespace fovea::simt {

/// The cp.async copies of one thread that have started and not arrived, in groups by commit. Internal to the
/// scheduler.
class AsyncCopies {
 public:
  void start(const AsyncCopy& copy) { flying_.emplace_back(groups_, copy); }
  void commit() { ++groups_; }

  /// Calls arrive(copy) for each copy that all but the latest `groups` commits hold, and forgets it.
  template <class F>
  void wait(unsigned groups, F&& arrive) {
    std::size_t done = 0;
    while (done < flying_.size() && flying_[done].first + groups < groups_) arrive(flying_[done++].second);
    flying_.erase(flying_.begin(), flying_.begin() + static_cast<std::ptrdiff_t>(done));
  }

  /// The oldest, or null.
  const AsyncCopy* first() const { return flying_.empty() ? nullptr : &flying_[0].second; }
  bool first_committed() const { return !flying_.empty() && flying_[0].first < groups_; }

 private:
  std::vector<std::pair<unsigned, AsyncCopy>> flying_;  // with the number of its group, in order
  unsigned groups_ = 0;                                 // committed
};

}  // namespace fovea::simt
