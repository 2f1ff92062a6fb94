// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstdint>

#include "models/retina/rate_model.h"

namespace fovea::retina {

struct FreeRunOptions {
  std::int64_t trials = 50;
  std::uint64_t seed = 1;
};

struct FreeRun {
  Tensor rate;    ///< [T, cells] f32, Hz: mean over the trials of the rates that the spikes were drawn from
  Tensor counts;  ///< [trials, T, cells] f32
  double capped = 0;  ///< share of all rates that were cut to kLargestRate_hz
};

/// A model whose own spikes feed back can run away; no cell fires faster than once a millisecond.
inline constexpr float kLargestRate_hz = 1000;

/// Lets a model that sees the past hear only itself: for each bin in turn, the rates from the drive of the stimulus and
/// the trial's own spikes so far, then Poisson counts of these rates. Before the first bin nothing has fired. Uniform
/// numbers are taken by (trial, bin, cell), so that trials are independent and the same on every device.
///
/// drive    [T, cells] of the stimulus alone (RateModel::drive), on the model's device
/// history  bins that the model sees
/// throws   ValueError unless trials is at least 1
FreeRun free_run(RateModel& model, const Tensor& drive, std::int64_t history,
                 const FreeRunOptions& options = {});

}  // namespace fovea::retina
