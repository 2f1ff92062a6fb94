// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <memory>
#include <vector>

#include "nn/batch_norm.h"

namespace fovea::nn {

/// A BatchNorm for each time step of a recurrent network, with statistics, weight and bias of its own: steps whose
/// inputs differ do not disturb each other. Later steps than there are use the last one.
///
/// x           [B, C, …] f32
/// t           the time step of x, from 0 on
/// returns     as x
/// parameters  those of each step's BatchNorm under its number: "0.weight", "0.bias", "1.weight", …
/// buffers     the same: "0.running_mean", "0.running_var", …
/// throws      ValueError (fewer than one step, t below 0, no t), ShapeError as BatchNorm
/// source      Liao and Poggio 2016, arXiv 1604.03640 (time-specific batch normalisation)
class TimeBatchNorm final : public Module {
 public:
  TimeBatchNorm(std::int64_t steps, std::int64_t features, const Device& device,
                BatchNormOptions options = {});
  Var forward(const Var& x, std::int64_t t);
  Var operator()(const Var& x, std::int64_t t) { return forward(x, t); }
  /// Throws ValueError: which step is it?
  Var forward(const Var& x) override;

  std::int64_t steps() const { return static_cast<std::int64_t>(steps_.size()); }
  BatchNorm& operator[](std::int64_t t) { return *steps_.at(static_cast<std::size_t>(t)); }

 private:
  std::vector<std::unique_ptr<BatchNorm>> steps_;
};

}  // namespace fovea::nn
