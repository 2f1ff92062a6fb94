// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <optional>
#include <string>
#include <vector>

#include "bench/case.h"
#include "bench/ceilings.h"
#include "bench/clock.h"
#include "bench/pair.h"
#include "bench/side.h"

namespace fovea::bench {

/// A line of the result: a case at one temperature of the cache.
struct Entry {
  std::string name, shape, op, pass, device;
  bool cold = false;   ///< operands come from memory, not from the last level of cache
  std::string status;  ///< "done", "failed", "not run"
  std::string reason;  ///< why not done; of our side
  std::string method;  ///< of the clock
  double flops = 0, bytes = 0, floor_ms = 0;
  double our_error = 0;  ///< relative to double; NaN if not known
  PairSamples samples;   ///< empty unless done

  std::optional<PeerInfo> peer;
  std::string no_peer;     ///< why there is none, where none is expected
  std::string peer_error;  ///< why there is none although there should be
  double peer_relative_error = 0;
};

/// The lines of a case that has not been run.
Entry entry_of(const Case& c, const Device& device, const std::string& status, const std::string& reason);

struct RunOptions {
  Math math = Math::fp32;
  PairLimits limits = {};
  PeerFinder find = find_peer;
};

/// Checks both sides, then times them in turns: cold, and warm unless a set of operands is too large to stay in the
/// cache. What fails is in the entry; it throws nothing but what std::bad_alloc is.
std::vector<Entry> run_case(const Case& c, const Device& device, Clock& clock, const Ceilings& ceilings,
                            const RunOptions& options);

/// How many sets of operands of `bytes` bytes pass a cache three times over; 1 without a cache, and for operands so
/// small that it would take thousands.
int cold_sets(double bytes, double cache_bytes);

}  // namespace fovea::bench
