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

PairSamples alternate(const Sampler& ours, const Sampler& peer, const PairLimits& limits,
                      const std::function<double()>& now) {
  PairSamples samples;
  const double end = now() + limits.seconds;
  for (int round = 0; round < limits.rounds; ++round) {
    if (round >= limits.least_rounds && now() >= end) break;
    const bool ours_first = round % 2 == 0;
    if (ours_first) samples.ours.push_back(ours());
    if (peer) samples.peer.push_back(peer());
    if (!ours_first) samples.ours.push_back(ours());
  }
  return samples;
}

}  // namespace fovea::bench
