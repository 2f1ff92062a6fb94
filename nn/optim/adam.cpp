// SPDX-License-Identifier: Apache-2.0
#include "nn/optim/adam.h"

#include <cmath>

namespace fovea::nn {
namespace {

float correction(float beta, std::int64_t t) {
  return static_cast<float>(1.0 / (1.0 - std::pow(static_cast<double>(beta), static_cast<double>(t))));
}

}  // namespace

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

OptimizerClock adam_clock(const AdamOptions& options, double lr, std::int64_t t) {
  return {static_cast<float>(lr), correction(options.beta1, t), correction(options.beta2, t)};
}

}  // namespace fovea::nn
