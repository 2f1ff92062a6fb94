// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstdint>
#include <vector>

#include "models/retina/nonlinearity.h"
#include "models/retina/rate_model.h"
#include "models/retina/stimulus_filter.h"

namespace fovea::retina {

struct LinearNonlinearOptions {
  std::int64_t cells = 5;
  std::int64_t history = 40;           ///< stimulus frames of 10 ms
  std::int64_t size = 50;              ///< stimulus height and width, checkers
  std::int64_t cutout = 0;             ///< as of StimulusFilterOptions; 0: the whole frame
  std::vector<Position> centres = {};  ///< of the cells, for cut-outs
  Nonlinearity nonlinearity = Nonlinearity::softplus;
};

/// The LN model: one linear filter over space and time and one nonlinearity per cell, fitted by gradient. The
/// baseline that Deep Retina is compared with.
///
/// x           [B, history, size, size] f32, contrast with mean 0 and standard deviation 1
/// returns     [B, cells] f32, Hz
/// parameters  filter.weight [cells, history·side²], filter.bias [cells] (StimulusFilter), nonlinearity.shape of
///             sigmoid [cells] and rbf [cells, 30]. 400 ms and the whole frame: 100 001 a cell; the published cut-out
///             of half-width 11: 19 361
/// throws      as StimulusFilter
/// source      Chichilnisky 2001, "A simple white noise analysis of neuronal light responses"
class LinearNonlinear final : public RateModel {
 public:
  LinearNonlinear(const LinearNonlinearOptions& options, const Device& device);
  Var drive(const Var& x) override { return filter_(x); }
  Var rate(const Var& drive) override { return nonlinearity_(drive); }
  Tensor cell_filters() const override { return filter_.in_frame(); }
  StimulusFilter& filter() { return filter_; }

 private:
  StimulusFilter filter_;
  RateNonlinearity nonlinearity_;
};

}  // namespace fovea::retina
