// SPDX-License-Identifier: Apache-2.0
#include "bench/run_case.h"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>
#include <exception>
#include <new>

namespace fovea::bench {
namespace {

constexpr double kPasses = 3;       // of the cache by the operands of a cold run
constexpr double kMostSets = 4096;  // the longest batch: more would never be used

/// Text of an error as one line.
std::string one_line(std::string text) {
  std::replace(text.begin(), text.end(), '\n', ' ');
  return text;
}

/// throws std::runtime_error unless the error is within the limit of the math mode
double checked_error(const Case& c, const Device& device, const Buffers& buffers, Side& side, Math math) {
  const double error = relative_error(c, device, buffers, side);
  if (!std::isfinite(error))
    throw std::runtime_error("results are not finite, or not all of them were written");
  if (error > error_limit(math))
    throw std::runtime_error(fmt::format("relative error {:.2g} is above {:.2g}", error, error_limit(math)));
  return error;
}

}  // namespace

int cold_sets(double bytes, double cache_bytes) {
  if (cache_bytes <= 0) return 1;
  const double sets = std::ceil(kPasses * cache_bytes / std::max(bytes, 1.0)) + 1;
  return sets <= kMostSets ? static_cast<int>(sets) : 1;
}

Entry entry_of(const Case& c, const Device& device, const std::string& status, const std::string& reason) {
  Entry e;
  e.name = c.name;
  e.shape = c.shape;
  e.op = c.op;
  e.pass = pass_name(c.pass);
  e.device = device.name();
  e.status = status;
  e.reason = reason;
  e.flops = c.flops;
  e.bytes = c.bytes;
  e.our_error = e.peer_relative_error = std::nan("");
  return e;
}

std::vector<Entry> run_case(const Case& c, const Device& device, Clock& clock, const Ceilings& ceilings,
                            const RunOptions& options) {
  Entry common = entry_of(c, device, "failed", "");
  common.floor_ms = ceilings.floor_ms(c.flops, c.bytes);
  const double bytes = static_cast<double>(set_bytes(c.operands));
  const int sets = cold_sets(bytes, ceilings.cache_bytes);
  try {
    const Buffers buffers(device, c.operands, sets, 1);
    const std::unique_ptr<Side> ours = our_side(c, device, buffers);
    common.our_error = checked_error(c, device, buffers, *ours, options.math);
    std::unique_ptr<Peer> peer;
    try {
      peer = options.find(c, device, buffers, options.math, common.no_peer);
      if (peer) {
        common.peer = peer->info();
        common.peer_relative_error = checked_error(c, device, buffers, *peer, options.math);
      }
    } catch (const std::exception& error) {
      common.peer_error = one_line(error.what());
      peer = nullptr;
    }
    std::vector<Entry> entries;
    for (const bool cold : {true, false}) {
      if (cold ? sets == 1 : bytes > kPasses * ceilings.cache_bytes && ceilings.cache_bytes > 0) continue;
      Entry e = common;
      e.cold = cold;
      const Samplers samplers = clock.samplers(*ours, peer.get(), cold ? sets : 1);
      e.method = samplers.method;
      e.samples = alternate(samplers.ours, samplers.peer, options.limits, seconds_now);
      e.status = "done";
      entries.push_back(std::move(e));
    }
    return entries;
  } catch (const std::exception& error) {
    common.reason = one_line(error.what());
    return {common};
  }
}

}  // namespace fovea::bench
