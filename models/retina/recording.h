// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <array>
#include <cstdint>
#include <filesystem>
#include <functional>
#include <string>
#include <string_view>
#include <vector>

#include "models/retina/circuit.h"
#include "models/retina/photographs.h"
#include "models/retina/spikes.h"
#include "models/retina/stimuli.h"

namespace fovea::retina {

enum class Stimulus : std::uint8_t { kPhotographs, kDeadLeaves, kWhiteNoise };
std::string_view name(Stimulus stimulus);  ///< "photographs", "dead-leaves", "white-noise"

struct RecordingOptions {
  Stimulus stimulus = Stimulus::kPhotographs;
  double minutes = 60.0;  ///< of training movie, split into equal blocks of at most block_minutes
  double block_minutes = 10.0;
  double test_seconds = 60.0;
  int trials = 6;           ///< repeats of the test movie
  int oracle_trials = 200;  ///< further ones whose mean is the true rate
  double calibration_seconds = 180.0;
  Circuit circuit = Circuit::kStandard;
  std::uint64_t seed = 1;
  int threads = 1;  ///< changes the time taken and nothing else
  std::filesystem::path photographs = packaged_photographs();

  /// Called now and then from the calling thread: share of the work done (0 … 1) and what is being done.
  std::function<void(double share, std::string_view what)> progress = {};
};

/// One uninterrupted stretch of training movie, seen once. It starts from a retina adapted to even grey:
/// leave out the first kAdaptationFrames.
struct TrainBlock {
  Movie movie;
  std::vector<float> drive;         ///< [kCells, T], deterministic
  std::vector<std::uint8_t> count;  ///< [kCells, T], spikes per 10 ms
  std::vector<float> rate;          ///< [kCells, T], Hz: the counts, smoothed (estimate_rate)
};

/// A movie of other images, seen several times; it too starts from grey.
struct TestMovie {
  Movie movie;
  std::vector<float> drive;      ///< [kCells, T]
  Trials trials;                 ///< counts [trials, kCells, T]
  std::vector<float> rates;      ///< [trials, kCells, T], Hz
  std::vector<float> true_rate;  ///< [kCells, T], Hz, mean over the oracle trials
};

/// What a session at the simulated retina leaves behind.
struct Recording {
  Stimulus stimulus;
  Circuit circuit;
  std::uint64_t seed;
  Alpha alpha;                                         ///< calibrated output gain of each cell, Hz
  std::array<Cell, kCells> cells = kRetina;            ///< kinds and receptive-field centres
  std::vector<std::string> train_images, test_images;  ///< names; empty for white noise
  std::vector<TrainBlock> train;
  TestMovie test;
};

/// Makes stimuli, calibrates the cells, and records.
///
/// Cells are calibrated on a natural movie of their own, so alpha depends neither on the length of the
/// training movie nor, but for photographs against dead leaves, on the kind of stimulus: the cells that see
/// white noise are those calibrated on dead leaves. Equal options but for `threads` and `progress` give equal
/// bits. throws std::invalid_argument for options out of range, IoError for pictures
Recording simulate_recording(const RecordingOptions& options);

}  // namespace fovea::retina
