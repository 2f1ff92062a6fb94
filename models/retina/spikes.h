// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <array>
#include <cstdint>
#include <span>
#include <vector>

#include "kernels/philox.h"
#include "models/retina/circuit.h"

namespace fovea::retina {

using Alpha = std::array<double, kCells>;  ///< gain of each cell's output, Hz

/// Rate of the output nonlinearity without trial noise and refractoriness: α·s·log(1 + e^{(d−θ)/s}), Hz.
double noiseless_rate_hz(double drive, CellType type, double alpha);

/// One trial of one cell: spikes in 1 ms sub-bins, driven by d (held for the frame) plus trial noise.
///
/// drive    [T]
/// trial    key of the trial; numbers are taken by (cell, sub-bin), so cells and trials are independent
/// returns  sub-bins (ms from the start) that hold a spike, ascending, at least 4 apart
std::vector<std::int32_t> spike_train(std::span<const float> drive, int cell, double alpha,
                                      const philox::Key& trial);

/// Spikes per 10 ms bin.
std::vector<std::uint8_t> count_spikes(std::span<const std::int32_t> spikes, int frames);

/// Firing rate from counts: Gaussian filter of σ = 10 ms cut at ±5σ, unit sum, divided by the bin width.
/// Beyond the ends there are no spikes. counts   [T], of one trial or summed over `trials` trials returns
/// [T], Hz
std::vector<float> estimate_rate(std::span<const std::uint16_t> counts, int trials = 1);

/// What estimate_rate() makes of very many trials of this rate: the same filter. rate  [T], Hz
std::vector<float> smooth_rate(std::span<const float> rate);

/// All cells in several trials.
struct Trials {
  int trials = 0, frames = 0;
  std::vector<std::uint8_t> count;  ///< [trials, kCells, T]

  std::span<const std::uint8_t> of(int trial, int cell) const {
    const auto row = static_cast<std::size_t>(trial * kCells + cell),
               length = static_cast<std::size_t>(frames);
    return std::span(count).subspan(row * length, length);
  }
};

/// drive    [kCells, T]
/// stream   names the purpose, `philox::stream_id("retina.test")`; trial i uses step first_trial + i
Trials simulate_trials(std::span<const float> drive, const Alpha& alpha, int trials, std::uint64_t seed,
                       std::uint32_t stream, std::uint32_t first_trial = 0, int threads = 1);

/// Rate of each trial, [trials, kCells, T], Hz.
std::vector<float> trial_rates(const Trials& trials, int threads = 1);

/// Mean over trials of their rates, [kCells, T], Hz.
std::vector<float> mean_rate(const Trials& trials, int threads = 1);

/// Finds alpha so that each cell fires 4 spikes/s on average: four passes of α ← α·4/rate over the same
/// random numbers. The first kAdaptationFrames do not count. drive    [kCells, T] of natural scenes, T >
/// kAdaptationFrames throws   std::invalid_argument if the movie is too short, std::runtime_error if a cell
/// stays silent
Alpha calibrate(std::span<const float> drive, std::uint64_t seed, int threads = 1);

}  // namespace fovea::retina
