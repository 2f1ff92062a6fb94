// SPDX-License-Identifier: Apache-2.0
#pragma once

#include "nn/metrics/responses.h"

namespace fovea::retina {

/// How well predicted rates fit recorded ones, per cell.
struct Scores {
  nn::CellScores pearson, explained_variance, rmse_hz, log_likelihood;
  /// Against the repeats (noise_ceiling.h); NaN for all cells where there are fewer than two.
  nn::CellScores cc_norm, feve;
};

/// rate, target  [T, cells], Hz
/// repeats       [repeats, cells, T], of which the target is the mean; undefined: not known
/// throws        ShapeError if the shapes do not fit
Scores score(const Tensor& rate, const Tensor& target, const Tensor& repeats = {});

/// Mean of |changed − rate| over the mean of rate, of all bins and cells. throws ShapeError if the shapes differ
double mean_change(const Tensor& changed, const Tensor& rate);

}  // namespace fovea::retina
