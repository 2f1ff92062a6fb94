// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <functional>
#include <vector>

/// How sides are compared: in turns, so that a machine that slows down slows all of them.
namespace fovea::bench {

/// One run of a side, ms, as an average over a batch that is long enough for its clock.
struct Sample {
  double ms = 0;       ///< by the clock of the line; what ratios are made of
  double wall_ms = 0;  ///< by the steady clock, where that is another one
};
using Sampler = std::function<Sample()>;

/// The value below which a share of the values lies, linear between neighbours. values  not empty; share  0..1
double quantile(std::vector<double> values, double share);

struct RoundLimits {
  int rounds = 15;           ///< a round is one sample of each side
  int least_rounds = 3;      ///< taken even if they pass the time limit
  double peer_seconds = 10;  ///< no new round starts after the peers have taken this, all of them together
  double seconds = 15;       ///< nor after this
  double most_drift = 0.05;  ///< of the probe within a round that counts
};

/// What was sampled, [side][round].
struct Rounds {
  std::vector<std::vector<Sample>> sides = {};
  bool noisy = false;  ///< too few rounds were calm, so that none was left out
  int discarded = 0;   ///< rounds that were left out
};

/// Rounds in turns A B C, C B A, A B C, …: a drift of the machine within two rounds favours nobody. A round during
/// which the probe moved is left out, unless too few would be left.
/// sides  not empty; the first one is ours
/// probe  some constant work, in any unit of time; may be empty
/// now    seconds since any fixed moment
Rounds take_turns(const std::vector<Sampler>& sides, const RoundLimits& limits,
                  const std::function<double()>& probe, const std::function<double()>& now);

/// Samples of ours and of one peer, one per round; `peer` stays empty without a peer, and so do the walls unless the
/// clock of the line is another one.
struct PairSamples {
  std::vector<double> ours, peer, ours_wall, peer_wall;

  double ours_ms() const { return quantile(ours, 0.5); }
  double peer_ms() const { return quantile(peer, 0.5); }
  /// ours/peer of each round.
  std::vector<double> ratios() const;
};

/// Ours and side number `peer`; 0: ours alone. walls  whether to keep them
PairSamples pair_of(const Rounds& rounds, std::size_t peer, bool walls);

}  // namespace fovea::bench
