// SPDX-License-Identifier: Apache-2.0
#pragma once

#include "nn/metrics/responses.h"

namespace fovea::retina {

/// How well predicted rates fit recorded ones, per cell.
struct Scores {
  nn::CellScores pearson, explained_variance, rmse_hz, log_likelihood;
};

/// rate, target  [T, cells], Hz
Scores score(const Tensor& rate, const Tensor& target);

}  // namespace fovea::retina
