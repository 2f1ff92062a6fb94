// SPDX-License-Identifier: Apache-2.0
#include "nn/optim/sgd.h"

namespace fovea::nn {

Optimizer sgd(std::vector<ParameterGroup> groups, double lr, SgdOptions options) {
  if (!(options.momentum >= 0.0f && options.momentum < 1.0f))
    reject<ValueError>("sgd", "momentum must be in [0, 1), got {}", options.momentum);
  if (options.nesterov && options.momentum == 0.0f)
    reject<ValueError>("sgd", "Nesterov's form needs a momentum above 0");
  return Optimizer(options, std::move(groups), lr);
}

}  // namespace fovea::nn
