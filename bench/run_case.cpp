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
constexpr double kLeastColdBytes =
    1e5;  // of a set on the host: what is smaller is in the cache when it is needed

/// Text of an error as one line.
std::string one_line(std::string text) {
  std::replace(text.begin(), text.end(), '\n', ' ');
  return text;
}

/// Adds "name: words" to a list of such.
void add_words(std::string& list, const std::string& name, const std::string& words) {
  list += fmt::format("{}{}: {}", list.empty() ? "" : "; ", name, one_line(words));
}

struct Opponent {
  std::unique_ptr<Peer> peer;
  PeerInfo info;
  double error;
};

/// The peers that are there and right; of the others `line` says why not.
std::vector<Opponent> opponents(const Case& c, const Device& device, const Buffers& buffers,
                                const RunOptions& options, Entry& line) {
  std::vector<Opponent> found;
  for (const PeerOffer& offer : options.find(c, device, options.threads, buffers, options.math)) {
    if (!offer.absent.empty()) add_words(line.no_peer, offer.name, offer.absent);
    if (!offer.make) continue;
    try {
      std::unique_ptr<Peer> peer = offer.make();
      const double error = checked_error(c, device, buffers, *peer, options.math);
      PeerInfo info = peer->info();
      found.push_back({std::move(peer), std::move(info), error});
    } catch (const std::exception& error) {
      add_words(line.peer_error, offer.name, error.what());
    }
  }
  return found;
}

/// Cold, then warm, as far as the case has them.
std::vector<bool> temperatures(const Case& c, const Device& device, const Ceilings& ceilings, double bytes,
                               int sets) {
  const bool fits = bytes <= kPasses * ceilings.cache_bytes || ceilings.cache_bytes <= 0;
  if (c.one_set) return {false};
  if (device.kind() == DeviceKind::cuda) {
    std::vector<bool> both;
    if (sets > 1) both.push_back(true);
    if (fits) both.push_back(false);
    return both;
  }
  const bool byte_bound = ceilings.floor_ms(0, c.bytes) >= ceilings.floor_ms(c.flops, 0);
  return {!fits || (byte_bound && sets > 1 && bytes >= kLeastColdBytes)};
}

}  // namespace

int cold_sets(double bytes, double cache_bytes) {
  if (cache_bytes <= 0) return 1;
  const double sets = std::ceil(kPasses * cache_bytes / std::max(bytes, 1.0)) + 1;
  return sets <= kMostSets ? static_cast<int>(sets) : 1;
}

Entry entry_of(const Case& c, const Device& device, int threads, const std::string& status,
               const std::string& reason) {
  Entry e;
  e.name = c.name;
  e.shape = c.shape;
  e.op = c.op;
  e.pass = pass_name(c.pass);
  e.device = device.name();
  e.threads = device.kind() == DeviceKind::cuda ? 0 : threads;
  e.status = status;
  e.reason = reason;
  e.flops = c.flops;
  e.bytes = c.bytes;
  e.our_error = e.peer_relative_error = std::nan("");
  return e;
}

std::vector<Entry> run_case(const Case& c, const Device& device, Clock& clock, const Ceilings& ceilings,
                            const RunOptions& options) {
  Entry common = entry_of(c, device, options.threads, "failed", "");
  common.floor_ms = ceilings.floor_ms(c.flops, c.bytes);
  const double bytes = static_cast<double>(set_bytes(c.operands));
  const int most_sets = cold_sets(bytes, ceilings.cache_bytes);
  const std::vector<bool> colds = temperatures(c, device, ceilings, bytes, most_sets);
  const bool any_cold = std::find(colds.begin(), colds.end(), true) != colds.end();
  try {
    const Buffers buffers(device, c.operands, any_cold ? most_sets : 1, 1);
    const std::unique_ptr<Side> ours = our_side(c, device, buffers);
    common.our_error = checked_error(c, device, buffers, *ours, options.math);
    const std::vector<Opponent> peers = opponents(c, device, buffers, options, common);
    std::vector<Side*> sides{ours.get()};
    for (const Opponent& opponent : peers) sides.push_back(opponent.peer.get());
    std::vector<Entry> entries;
    for (const bool cold : colds) {
      common.cold = cold;
      common.status = "done";
      const Samplers samplers = clock.samplers(sides, cold ? buffers.sets() : 1);
      common.method = samplers.method;
      std::function<double()> probe;
      if (clock.probe() > 0) probe = [&clock] { return clock.probe(); };
      const Rounds rounds = take_turns(samplers.sides, options.limits, probe, seconds_now);
      common.noisy = rounds.noisy;
      common.discarded = rounds.discarded;
      const bool walls = samplers.method == "thread cpu";
      for (std::size_t k = 0; k < std::max<std::size_t>(peers.size(), 1); ++k) {
        Entry e = common;
        e.samples = pair_of(rounds, peers.empty() ? 0 : k + 1, walls);
        if (!peers.empty()) {
          e.peer = peers[k].info;
          e.peer_relative_error = peers[k].error;
        }
        entries.push_back(std::move(e));
      }
    }
    return entries;
  } catch (const std::exception& error) {
    common.status = "failed";
    common.reason = one_line(error.what());
    return {common};
  }
}

}  // namespace fovea::bench
