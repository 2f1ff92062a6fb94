// SPDX-License-Identifier: Apache-2.0
#include "models/retina/recording.h"

#include <algorithm>
#include <cmath>
#include <stdexcept>

#include <doctest/doctest.h>

#include "models/retina/reliability.h"
#include "models/retina/simulator.h"

using namespace fovea::retina;

namespace {

RecordingOptions tiny(Stimulus stimulus) {
  RecordingOptions options;
  options.stimulus = stimulus;
  options.minutes = 0.25;
  options.block_minutes = 0.1;
  options.test_seconds = 5.0;
  options.trials = 2;
  options.oracle_trials = 4;
  options.calibration_seconds = 10.0;
  return options;
}

bool same(const Recording& a, const Recording& b) {
  bool equal = a.alpha == b.alpha && a.train.size() == b.train.size() &&
               a.test.movie.pixel == b.test.movie.pixel && a.test.drive == b.test.drive &&
               a.test.trials.count == b.test.trials.count && a.test.rates == b.test.rates &&
               a.test.true_rate == b.test.true_rate;
  for (std::size_t i = 0; equal && i < a.train.size(); ++i) {
    equal = a.train[i].movie.pixel == b.train[i].movie.pixel && a.train[i].drive == b.train[i].drive &&
            a.train[i].count == b.train[i].count && a.train[i].rate == b.train[i].rate;
  }
  return equal;
}

struct Range {
  double low, high;
  /// The figures of the first writing of this circuit, with 15 % on either side.
  bool holds(double x) const { return x > 0.85 * low && x < 1.15 * high; }
};
struct Figures {
  Range mean_hz, peak_hz, trial_to_others, split_half, fano, ceiling;
};

void check_figures(Stimulus stimulus, const Figures& stated) {
  RecordingOptions options;
  options.stimulus = stimulus;
  options.minutes = 0.1;
  options.trials = 12;
  const Recording recording = simulate_recording(options);
  const Trials& trials = recording.test.trials;
  const auto frames = static_cast<std::size_t>(trials.frames);
  const std::size_t six_trials = 6 * kCells * frames;
  const Trials six{
      .trials = 6,
      .frames = trials.frames,
      .count = {trials.count.begin(), trials.count.begin() + static_cast<std::ptrdiff_t>(six_trials)}};
  for (int cell = 0; cell < kCells; ++cell) {
    const double mean = average_rate_hz(trials, cell), peak = peak_rate_hz(trials, cell);
    const double one = trial_to_others(trials, cell, 6), half = split_half(trials, cell);
    const double fano = fano_factor(trials, cell);
    const double ceiling = noise_ceiling(std::span<const float>(recording.test.true_rate)
                                             .subspan(static_cast<std::size_t>(cell) * frames, frames),
                                         six, cell);
    INFO("cell " << cell << ": mean " << mean << " Hz, peak " << peak << " Hz, trial to others " << one
                 << ", half to half " << half << ", Fano " << fano << ", ceiling " << std::sqrt(half)
                 << " from halves, " << ceiling << " against the true rate, alpha "
                 << recording.alpha[static_cast<std::size_t>(cell)]);
    CHECK(stated.mean_hz.holds(mean));
    CHECK(stated.peak_hz.holds(peak));
    CHECK(stated.trial_to_others.holds(one));
    CHECK(stated.split_half.holds(half));
    CHECK(stated.fano.holds(fano));
    CHECK(stated.ceiling.holds(std::sqrt(half)));
    // Half of twelve trials are six: two ways to the same ceiling, one of which knows the truth.
    CHECK(std::abs(std::sqrt(half) - ceiling) < 0.05);
  }
}

}  // namespace

TEST_CASE("retina recording: equal options give equal bits on any number of threads, other seeds do not") {
  for (Stimulus stimulus : {Stimulus::kDeadLeaves, Stimulus::kWhiteNoise}) {
    RecordingOptions options = tiny(stimulus);
    const Recording one = simulate_recording(options);
    options.threads = 3;
    CHECK(same(simulate_recording(options), one));
    options.seed = 2;
    const Recording other = simulate_recording(options);
    CHECK(other.train[0].movie.pixel != one.train[0].movie.pixel);
    CHECK(other.train[0].count != one.train[0].count);
    CHECK(other.test.movie.pixel != one.test.movie.pixel);
    CHECK(other.alpha != one.alpha);
  }
}

TEST_CASE("retina recording: blocks are equal, bounded and different, and progress ends at 1") {
  RecordingOptions options = tiny(Stimulus::kDeadLeaves);
  std::vector<double> shares;
  options.progress = [&](double share, std::string_view) { shares.push_back(share); };
  const Recording recording = simulate_recording(options);
  REQUIRE(recording.train.size() == 3);
  for (const TrainBlock& block : recording.train) {
    CHECK(block.movie.frames() == 500);
    CHECK(block.drive.size() == kCells * 500);
    CHECK(block.count.size() == kCells * 500);
    CHECK(block.rate.size() == kCells * 500);
  }
  CHECK(recording.train[0].movie.pixel != recording.train[1].movie.pixel);
  CHECK(recording.train[0].count != recording.train[1].count);
  CHECK(recording.test.movie.frames() == 500);
  CHECK(recording.test.trials.trials == 2);
  CHECK(recording.test.rates.size() == 2 * kCells * 500);
  CHECK(recording.test.true_rate.size() == kCells * 500);
  CHECK(std::is_sorted(shares.begin(), shares.end()));
  CHECK(shares.back() == doctest::Approx(1.0));
  for (const std::string& image : recording.test_images) {
    CHECK(std::find(recording.train_images.begin(), recording.train_images.end(), image) ==
          recording.train_images.end());
  }
  CHECK(recording.train_images.size() == 40);
  // An experiment on the simulator uses the very cells that were recorded.
  CHECK(Simulator(dead_leaves(40, options.seed, 0), options.seed, 2, options.calibration_seconds).alpha() ==
        recording.alpha);
}

TEST_CASE("retina recording: photographs, train and test from different pictures") {
  RecordingOptions options = tiny(Stimulus::kPhotographs);
  if (!std::filesystem::exists(options.photographs)) {
    CHECK_THROWS_AS(simulate_recording(options), fovea::IoError);
    return;
  }
  const Recording recording = simulate_recording(options);
  CHECK(recording.train_images.size() == 9);
  CHECK(recording.test_images.size() == 3);
  for (const std::string& image : recording.test_images) {
    CHECK(std::find(recording.train_images.begin(), recording.train_images.end(), image) ==
          recording.train_images.end());
  }
}

TEST_CASE("retina recording: options out of range are named") {
  const double nan = std::nan("");
  auto rejects = [](auto change, const char* option) {
    RecordingOptions options = tiny(Stimulus::kWhiteNoise);
    change(options);
    CHECK_THROWS_WITH_AS(simulate_recording(options), doctest::Contains(option), std::invalid_argument);
  };
  rejects([](RecordingOptions& o) { o.minutes = 0.0; }, "minutes");
  rejects([&](RecordingOptions& o) { o.minutes = nan; }, "minutes");
  rejects([](RecordingOptions& o) { o.block_minutes = 0.01; }, "block_minutes");
  rejects([](RecordingOptions& o) { o.test_seconds = 2.0; }, "test_seconds");
  rejects([](RecordingOptions& o) { o.calibration_seconds = 1.0; }, "calibration_seconds");
  rejects([](RecordingOptions& o) { o.trials = 0; }, "trials");
  rejects([](RecordingOptions& o) { o.oracle_trials = 0; }, "oracle_trials");
  rejects([](RecordingOptions& o) { o.threads = 0; }, "threads");
}

TEST_CASE("retina recording: the stated figures of the circuit, natural scenes") {
  check_figures(Stimulus::kDeadLeaves, {.mean_hz = {3.3, 4.3},
                                        .peak_hz = {67, 99},
                                        .trial_to_others = {0.50, 0.63},
                                        .split_half = {0.72, 0.83},
                                        .fano = {0.70, 0.82},
                                        .ceiling = {0.84, 0.91}});
}

TEST_CASE("retina recording: the stated figures of the circuit, white noise") {
  check_figures(Stimulus::kWhiteNoise, {.mean_hz = {3.2, 4.6},
                                        .peak_hz = {35, 74},
                                        .trial_to_others = {0.30, 0.58},
                                        .split_half = {0.52, 0.79},
                                        .fano = {0.71, 0.85},
                                        .ceiling = {0.72, 0.89}});
}
