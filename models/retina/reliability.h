// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <span>

#include "models/retina/spikes.h"

/// How repeatable responses are, and hence how well any model can do. All scores are Pearson correlations
/// over time, and all leave out the first kAdaptationFrames.
namespace fovea::retina {

/// Pearson correlation; NaN if either side is constant.
/// throws std::invalid_argument if the lengths differ or are below 2
double correlation(std::span<const float> x, std::span<const float> y);

/// What a model that knows the true rate scores against the mean of the trials: the exact ceiling, which only
/// a simulation can tell. true_rate  [T] of the cell, Hz
double noise_ceiling(std::span<const float> true_rate, const Trials& trials, int cell);

/// leave_one_out() (noise_ceiling.h) of trials 0 … used−1.
double trial_to_others(const Trials& trials, int cell, int used);

/// Correlation of the mean of the even trials with the mean of the odd ones: the reliability ρ of a mean of
/// N/2 trials. A model that knows the true rate scores √ρ against such a mean.
double split_half(const Trials& trials, int cell);

/// Spike count variance over trials divided by its mean, in windows of 50 ms, summed over windows before the
/// division. 1 for a Poisson process.
double fano_factor(const Trials& trials, int cell);

/// Highest value of the rate averaged over trials, Hz.
double peak_rate_hz(const Trials& trials, int cell);

/// Spikes per second over all trials, Hz.
double average_rate_hz(const Trials& trials, int cell);

}  // namespace fovea::retina
