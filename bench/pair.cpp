// SPDX-License-Identifier: Apache-2.0
#include "bench/pair.h"

#include <algorithm>
#include <cassert>
#include <cmath>
#include <cstddef>

namespace fovea::bench {

double quantile(std::vector<double> values, double share) {
  assert(!values.empty());
  std::sort(values.begin(), values.end());
  const double place = share * static_cast<double>(values.size() - 1);
  const auto below = static_cast<std::size_t>(place);
  if (below + 1 == values.size()) return values.back();
  return std::lerp(values[below], values[below + 1], place - static_cast<double>(below));
}

std::vector<double> PairSamples::ratios() const {
  std::vector<double> ratios;
  for (std::size_t i = 0; i < peer.size(); ++i) ratios.push_back(ours[i] / peer[i]);
  return ratios;
}

Rounds take_turns(const std::vector<Sampler>& sides, const RoundLimits& limits,
                  const std::function<double()>& probe, const std::function<double()>& now) {
  Rounds all{.sides = std::vector<std::vector<Sample>>(sides.size())};
  std::vector<bool> calm;
  const double end = now() + limits.seconds;
  double of_peers = 0;
  for (int round = 0; round < limits.rounds; ++round) {
    if (round >= limits.least_rounds && (now() >= end || of_peers >= limits.peer_seconds)) break;
    const double before = probe ? probe() : 1;
    for (std::size_t i = 0; i < sides.size(); ++i) {
      const std::size_t side = round % 2 == 0 ? i : sides.size() - 1 - i;
      const double start = now();
      all.sides[side].push_back(sides[side]());
      if (side > 0) of_peers += now() - start;
    }
    const double after = probe ? probe() : 1;
    calm.push_back(std::abs(after / before - 1) <= limits.most_drift);
  }
  const auto good = std::count(calm.begin(), calm.end(), true);
  if (good < std::min<std::ptrdiff_t>(limits.least_rounds, std::ssize(calm))) {
    all.noisy = true;
    return all;
  }
  all.discarded = static_cast<int>(std::ssize(calm) - good);
  for (std::vector<Sample>& samples : all.sides) {
    std::size_t kept = 0;
    for (std::size_t i = 0; i < calm.size(); ++i)
      if (calm[i]) samples[kept++] = samples[i];
    samples.resize(kept);
  }
  return all;
}

PairSamples pair_of(const Rounds& rounds, std::size_t peer, bool walls) {
  PairSamples pair;
  const auto take = [&](std::size_t side, std::vector<double>& ms, std::vector<double>& wall) {
    for (const Sample& sample : rounds.sides[side]) {
      ms.push_back(sample.ms);
      if (walls) wall.push_back(sample.wall_ms);
    }
  };
  take(0, pair.ours, pair.ours_wall);
  if (peer > 0) take(peer, pair.peer, pair.peer_wall);
  return pair;
}

}  // namespace fovea::bench
