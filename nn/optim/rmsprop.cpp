// SPDX-License-Identifier: Apache-2.0
#include "nn/optim/rmsprop.h"

namespace fovea::nn {

Optimizer rmsprop(std::vector<ParameterGroup> groups, double lr, RmspropOptions options) {
  for (const float share : {options.alpha, options.momentum})
    if (!(share >= 0.0f && share < 1.0f))
      reject<ValueError>("rmsprop", "alpha and momentum must be in [0, 1), got {} and {}", options.alpha,
                         options.momentum);
  if (!(options.eps > 0.0f)) reject<ValueError>("rmsprop", "eps is {}, expected more than 0", options.eps);
  return Optimizer(options, std::move(groups), lr);
}

}  // namespace fovea::nn
