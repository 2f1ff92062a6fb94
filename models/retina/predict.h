// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstdint>

#include "models/retina/rate_model.h"
#include "nn/data/window_dataset.h"

namespace fovea::retina {

/// A model's rates and the recorded ones for all samples of a data set, in order; host memory, Hz.
struct Predictions {
  Tensor rate;    ///< [samples, cells]
  Tensor target;  ///< [samples, cells]
  /// Of a free run: trials, and the share of its rates that were cut to kLargestRate_hz. 0 trials: there was none.
  std::int64_t free_trials = 0;
  double free_capped = 0;
};

/// Runs the model in inference mode (and puts it back as it was).
///
/// A model that sees the past gets the recorded spikes if the data have them (WindowDataset::past()): its rates are then
/// those of one bin ahead. Else it hears its own: a free run (free_run.h) over each run of samples, whose mean rate is
/// smoothed as rates are estimated from counts (estimate_rate). That is for test movies: what is known there is the
/// mean over repeats, to which no single past belongs.
///
/// device  where the model is
/// batch   windows at a time; changes memory and time only
/// throws  ShapeError if the past is of another number of cells
Predictions predict(RateModel& model, const nn::WindowDataset& data, const Device& device,
                    std::int64_t batch = 256);

}  // namespace fovea::retina
