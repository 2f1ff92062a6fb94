// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <functional>
#include <vector>

/// How two sides are compared: in turns, so that a machine that slows down slows both.
namespace fovea::bench {

/// Milliseconds of one run, as an average over a batch that is long enough for its clock.
using Sampler = std::function<double()>;

/// The value below which a share of the values lies, linear between neighbours. values  not empty; share  0..1
double quantile(std::vector<double> values, double share);

struct PairLimits {
  int rounds = 15;       ///< a round is one sample of each side
  int least_rounds = 3;  ///< taken even if they pass the time limit
  double seconds = 3.0;  ///< no new round starts after this
};

/// Raw samples, one per round; `peer` stays empty without a peer.
struct PairSamples {
  std::vector<double> ours, peer;

  double ours_ms() const { return quantile(ours, 0.5); }
  double peer_ms() const { return quantile(peer, 0.5); }
  /// ours/peer of each round.
  std::vector<double> ratios() const;
};

/// Samples A B B A A B …: rounds alternate in who goes first, so that a drift of the clock within a round cancels.
/// peer  may be empty
/// now   seconds since any fixed moment
PairSamples alternate(const Sampler& ours, const Sampler& peer, const PairLimits& limits,
                      const std::function<double()>& now);

}  // namespace fovea::bench
