// SPDX-License-Identifier: Apache-2.0
#include "models/retina/scores.h"

namespace fovea::retina {

Scores score(const Tensor& rate, const Tensor& target) {
  return {nn::pearson(rate, target), nn::explained_variance(rate, target), nn::rmse(rate, target),
          nn::poisson_log_likelihood(rate, target)};
}

}  // namespace fovea::retina
