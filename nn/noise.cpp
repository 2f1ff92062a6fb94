// SPDX-License-Identifier: Apache-2.0
#include "nn/noise.h"

#include <cmath>

#include "autograd/ops/noise.h"

namespace fovea::nn {

GaussianNoise::GaussianNoise(float sigma) : sigma_(sigma) {
  if (!(sigma >= 0.0f) || !std::isfinite(sigma))
    reject<ValueError>("gaussian_noise", "sigma must be at least 0 and finite, got {}", sigma);
}

Var GaussianNoise::forward(const Var& x) {
  if (!training() || sigma_ == 0.0f) return x;
  if (x.tape() == nullptr)
    reject<ValueError>(label("gaussian_noise"),
                       "training draws from the tape's seed and step, but x {} is on no tape; pass "
                       "tape.input(x), or call eval() for inference",
                       x.shape());
  return gaussian_noise(x, sigma_, x.tape()->key(path()));
}

}  // namespace fovea::nn
