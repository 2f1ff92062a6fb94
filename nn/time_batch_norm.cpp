// SPDX-License-Identifier: Apache-2.0
#include "nn/time_batch_norm.h"

#include <algorithm>

namespace fovea::nn {

TimeBatchNorm::TimeBatchNorm(std::int64_t steps, std::int64_t features, const Device& device,
                             BatchNormOptions options) {
  if (steps < 1) reject<ValueError>("time_batch_norm", "steps must be at least 1, got {}", steps);
  for (std::int64_t t = 0; t < steps; ++t) {
    steps_.push_back(std::make_unique<BatchNorm>(features, device, options));
    add_child(std::to_string(t), *steps_.back());
  }
}

Var TimeBatchNorm::forward(const Var& x, std::int64_t t) {
  if (t < 0) reject<ValueError>(label("time_batch_norm"), "time step {} is below 0", t);
  return (*steps_[static_cast<std::size_t>(std::min(t, steps() - 1))])(x);
}

Var TimeBatchNorm::forward(const Var& x) {
  reject<ValueError>(label("time_batch_norm"), "x {} comes without a time step; call it with (x, t)",
                     x.shape());
}

}  // namespace fovea::nn
