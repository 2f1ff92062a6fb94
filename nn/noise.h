// SPDX-License-Identifier: Apache-2.0
#pragma once

#include "nn/module.h"

namespace fovea::nn {

/// y = x + sigma·n with n standard normal, fresh for each element and step, in training; y = x after eval().
/// The numbers come from (seed and step of the tape, path of this module, element): the same values on every
/// device. A module that is applied twice within a step adds the same noise twice: use two modules.
///
/// x, returns  [...] f32
/// throws      ValueError in training if x is not on a tape, which is where seed and step are kept
class GaussianNoise final : public Module {
 public:
  /// throws ValueError if sigma is negative or not finite
  explicit GaussianNoise(float sigma);
  Var forward(const Var& x) override;
  float sigma() const { return sigma_; }

 private:
  float sigma_;
};

}  // namespace fovea::nn
