// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <functional>
#include <iosfwd>
#include <string>
#include <vector>

#include "bench/run_case.h"

namespace fovea::bench {

/// A case on a number of threads, ready to be run.
struct Runnable {
  std::string name;  ///< "conv1.forward.n32/threads:2"
  std::function<std::vector<Entry>()> run;
};

/// Through Google Benchmark's runner, for its filters, repetitions and reporters. An iteration is a round of ours, with
/// its time; counters are, for each peer, the median of the ratios ("ratio onednn 3.2.0") and of the errors, and the share
/// of the floor. A repetition makes new rounds.
/// flags     "--benchmark_filter=…", …
/// returns   whether all that were run are done; false with a line on `err` for a flag that it does not know
bool run_as_benchmarks(const std::vector<Runnable>& cases, const std::vector<std::string>& flags,
                       std::ostream& out, std::ostream& err);

}  // namespace fovea::bench
