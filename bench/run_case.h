// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <optional>
#include <string>
#include <vector>

#include "bench/case.h"
#include "bench/ceilings.h"
#include "bench/clock.h"
#include "bench/pair.h"
#include "bench/peers.h"

namespace fovea::bench {

/// A line of the result: a case at one temperature of the cache on one number of threads, beside one peer. Lines of the
/// same case, temperature and threads share the samples of ours.
struct Entry {
  std::string name, shape, op, pass, device;
  int threads = 0;     ///< of the host; 0 on a GPU
  bool cold = false;   ///< operands come from memory, not from the last level of cache
  std::string status;  ///< "done", "failed", "not run"
  std::string reason;  ///< why not done; of our side
  std::string method;  ///< of the clock
  double flops = 0, bytes = 0, floor_ms = 0;
  double our_error = 0;  ///< relative to double; NaN if not known
  PairSamples samples;   ///< empty unless done
  bool noisy = false;    ///< the machine changed its pace in most rounds, and these are all rounds
  int discarded = 0;     ///< rounds that were left out because it did

  std::optional<PeerInfo> peer;
  std::string no_peer;     ///< which peers there are not, where none are expected, and why
  std::string peer_error;  ///< which should be there and are not, and why
  double peer_relative_error = 0;
};

/// The line of a case that has not been run. threads  0 on a GPU
Entry entry_of(const Case& c, const Device& device, int threads, const std::string& status,
               const std::string& reason);

struct RunOptions {
  Math math = Math::fp32;
  RoundLimits limits = {};
  int threads = 1;  ///< of the device, if it is the host's
  PeerFinder find = find_peers;
};

/// Checks all sides, then times them in turns. On a GPU cold, and warm unless a set of operands is too large to stay in
/// the cache; on the host cold where bytes bound the case, else warm. What fails is in the entries, of which there is one
/// for each peer that works, or one; it throws nothing but what std::bad_alloc is.
std::vector<Entry> run_case(const Case& c, const Device& device, Clock& clock, const Ceilings& ceilings,
                            const RunOptions& options);

/// How many sets of operands of `bytes` bytes pass a cache three times over; 1 without a cache, and for operands so
/// small that it would take thousands.
int cold_sets(double bytes, double cache_bytes);

}  // namespace fovea::bench
