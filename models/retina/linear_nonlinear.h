// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstdint>

#include "models/retina/rate_model.h"
#include "nn/linear.h"

namespace fovea::retina {

struct LinearNonlinearOptions {
  std::int64_t cells = 5;
  std::int64_t history = 40;  ///< stimulus frames of 10 ms
  std::int64_t size = 50;     ///< stimulus height and width, checkers
};

/// The LN model: one linear filter over space and time and one softplus per cell, fitted by gradient. The
/// baseline that Deep Retina is compared with.
///
/// x           [B, history, size, size] f32, contrast with mean 0 and standard deviation 1
/// returns     [B, cells] f32, Hz
/// parameters  filter.weight [cells, history·size²], filter.bias [cells]; the weights start at 0, so that
///             the filter stays within what the stimuli span
/// source      Chichilnisky 2001, "A simple white noise analysis of neuronal light responses"
class LinearNonlinear final : public RateModel {
 public:
  LinearNonlinear(const LinearNonlinearOptions& options, const Device& device);
  Var drive(const Var& x) override;
  nn::Linear& filter() { return filter_; }

 private:
  nn::Linear filter_;
};

}  // namespace fovea::retina
