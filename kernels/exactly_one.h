// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cmath>

#include "kernels/host_device.h"

namespace fovea {

/// The chance that of independent events with chances p_1 … p_n exactly one happens,
/// S = Σ_j p_j·Π_{k≠j} (1 − p_k) = Π (1 − p_k)·R with R = Σ p_j/(1 − p_j), from one pass over them.
///
/// p is cut at 1 − 1e-6, so that both factors are finite. In double, because near a decision R is large and
/// its slope a small difference.
struct ExactlyOne {
  static constexpr double kMost = 1.0 - 1e-6;
  static constexpr int kFactors =
      32;  // of a product: at least 1e-192, and a logarithm for each would be dear

  double odds = 0.0;      ///< R
  double log_none = 0.0;  ///< log Π (1 − p), but for the factors in `none`
  double none = 1.0;
  int factors = 0;

  FOVEA_HOST_DEVICE static double cut(float p) {
    const double chance = static_cast<double>(p);
    return chance > kMost ? kMost : chance;
  }
  FOVEA_HOST_DEVICE static double odds_of(float p) { return cut(p) / (1.0 - cut(p)); }
  FOVEA_HOST_DEVICE void include(float p) {
    using std::log;
    odds += odds_of(p);
    none *= 1.0 - cut(p);
    if (++factors < kFactors) return;
    log_none += log(none);
    none = 1.0;
    factors = 0;
  }
  FOVEA_HOST_DEVICE double log_of_none() const {
    using std::log;
    return log_none + log(none);
  }
  /// d(−log S)/dp, with 1/R of the whole row.
  FOVEA_HOST_DEVICE static double slope(float p, double inv_odds) {
    if (static_cast<double>(p) > kMost) return 0.0;
    const double inverse = 1.0 / (1.0 - cut(p));
    return inverse * (1.0 - inverse * inv_odds);
  }
};

}  // namespace fovea
