// SPDX-License-Identifier: Apache-2.0
#include "nn/optim/adam.h"

namespace fovea::nn {
Optimizer adam(std::vector<ParameterGroup> groups, double lr, AdamOptions options) {
  for (const float beta : {options.beta1, options.beta2})
    if (!(beta >= 0.0f && beta < 1.0f))
      reject<ValueError>(options.decoupled ? "adamw" : "adam",
                         "beta1 and beta2 must be in [0, 1), got {} and {}", options.beta1, options.beta2);
  return Optimizer(options, std::move(groups), lr);
}

Optimizer adamw(std::vector<ParameterGroup> groups, double lr, AdamOptions options) {
  options.decoupled = true;
  return adam(std::move(groups), lr, options);
}

}  // namespace fovea::nn
