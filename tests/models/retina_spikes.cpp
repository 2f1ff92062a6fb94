// SPDX-License-Identifier: Apache-2.0
#include "models/retina/spikes.h"

#include <algorithm>
#include <cmath>
#include <numeric>
#include <stdexcept>
#include <string>
#include <vector>

#include <doctest/doctest.h>

#include "models/retina/parts.h"
#include "models/retina/reliability.h"

using namespace fovea::retina;
namespace philox = fovea::philox;

namespace {

const philox::Key kTrial{.seed = 3, .stream = philox::stream_id("test"), .step = 0};

}  // namespace

TEST_CASE("retina spikes: no two within 3 ms, and a slow recovery after that") {
  const std::vector<float> strong(20000, 6.0f);  // saturating drive: intervals are all refractoriness
  const auto spikes = spike_train(strong, 0, 300.0, kTrial);
  REQUIRE(spikes.size() > 1000);
  int shortest = 1000;
  std::vector<int> intervals(40);
  for (std::size_t i = 1; i < spikes.size(); ++i) {
    const int interval = spikes[i] - spikes[i - 1];
    shortest = std::min(shortest, interval);
    if (interval < 40) ++intervals[static_cast<std::size_t>(interval)];
  }
  CHECK(shortest == 4);
  CHECK(intervals[4] < intervals[6]);  // relative refractoriness: the hazard still rises
  CHECK(spikes.back() < 200000);
}

TEST_CASE("retina spikes: the rate at rest is the nonlinearity averaged over the trial noise") {
  // Drive 0: about 1 Hz, so refractoriness (some 8 ms per spike) takes about 1 %.
  const double alpha = 80.0;
  double expected = 0.0, weights = 0.0;
  for (double eta = -3.0; eta <= 3.0; eta += 0.01) {
    const double weight = std::exp(-0.5 * eta * eta / (0.35 * 0.35));
    expected += weight * noiseless_rate_hz(eta, CellType::kFastOff, alpha);
    weights += weight;
  }
  expected /= weights;
  CHECK(noiseless_rate_hz(0.9, CellType::kFastOff, alpha) ==
        doctest::Approx(alpha * 0.25 * std::log(2.0)).epsilon(1e-6));
  const std::vector<float> rest(60000, 0.0f);
  std::size_t spikes = 0;
  for (std::uint32_t trial = 0; trial < 8; ++trial) {
    spikes += spike_train(rest, 0, alpha, {.seed = 3, .stream = kTrial.stream, .step = trial}).size();
  }
  CHECK(static_cast<double>(spikes) / 4800.0 ==
        doctest::Approx(expected * (1.0 - 0.008 * expected)).epsilon(0.05));
}

TEST_CASE("retina parts: an exception reaches the caller when all parts are done, the lowest part's first") {
  for (const int threads : {1, 2, 5}) {
    CAPTURE(threads);
    std::vector<int> done(40);
    std::string text;
    try {
      for_parts(threads, 40, [&](int part) {
        done[static_cast<std::size_t>(part)] = 1;
        if (part % 9 == 5) throw std::runtime_error("part " + std::to_string(part));
      });
    } catch (const std::exception& error) {
      text = error.what();
    }
    CHECK(text == "part 5");
    CHECK(std::accumulate(done.begin(), done.end(), 0) == 40);
  }
}

TEST_CASE("retina spikes: cells and trials are independent, seeds matter, threads do not") {
  std::vector<float> drive(kCells * 1500);
  for (std::size_t i = 0; i < drive.size(); ++i) drive[i] = std::sin(0.1f * static_cast<float>(i % 1500));
  Alpha alpha;
  alpha.fill(80.0);
  const auto stream = philox::stream_id("test");
  const Trials one = simulate_trials(drive, alpha, 3, 1, stream);
  CHECK(simulate_trials(drive, alpha, 3, 1, stream, 0, 2).count == one.count);
  CHECK(simulate_trials(drive, alpha, 3, 1, stream, 0, 5).count == one.count);
  CHECK(simulate_trials(drive, alpha, 3, 2, stream).count != one.count);
  auto row = [&](int trial, int cell) {
    return std::vector<std::uint8_t>(one.of(trial, cell).begin(), one.of(trial, cell).end());
  };
  CHECK(row(0, 0) != row(1, 0));
  CHECK(row(0, 0) != row(0, 1));  // both fast OFF with equal drive
  const Trials later = simulate_trials(drive, alpha, 1, 1, stream, 2);
  CHECK(std::vector<std::uint8_t>(later.of(0, 4).begin(), later.of(0, 4).end()) == row(2, 4));

  const auto spikes = spike_train(std::span<const float>(drive).first(1500), 0, 80.0,
                                  {.seed = 1, .stream = stream, .step = 0});
  CHECK(count_spikes(spikes, 1500) == row(0, 0));
  CHECK(std::accumulate(one.of(0, 0).begin(), one.of(0, 0).end(), std::size_t{0}) == spikes.size());
}

TEST_CASE("retina spikes: the rate estimate integrates to the counts") {
  std::vector<std::uint16_t> counts(100);
  counts[20] = 1;
  counts[50] = 3;
  counts[52] = 2;
  const auto rate = estimate_rate(counts);
  double spikes = 0.0;
  for (float r : rate) spikes += static_cast<double>(r) * kFrame_s;
  CHECK(spikes == doctest::Approx(6.0).epsilon(1e-6));
  CHECK(rate[20] == doctest::Approx(39.894).epsilon(1e-4));  // 100 Hz / √(2π)
  CHECK(rate[21] == doctest::Approx(39.894 * std::exp(-0.5)).epsilon(1e-4));
  CHECK(rate[25] > 0.0f);
  CHECK(rate[26] == 0.0f);
  CHECK(estimate_rate(counts, 2)[20] == doctest::Approx(19.947).epsilon(1e-4));
}

TEST_CASE("retina spikes: calibration brings each cell to 4 Hz") {
  std::vector<float> drive(kCells * 6000);
  for (std::size_t i = 0; i < drive.size(); ++i) {
    drive[i] = 1.2f * std::sin(0.07f * static_cast<float>(i % 6000)) - 0.1f * static_cast<float>(i / 6000);
  }
  const Alpha alpha = calibrate(drive, 1);
  const Trials same = simulate_trials(drive, alpha, 4, 1, philox::stream_id("retina.calibration"));
  const Trials fresh = simulate_trials(drive, alpha, 10, 1, philox::stream_id("fresh"));
  for (int cell = 0; cell < kCells; ++cell) {
    CHECK(average_rate_hz(same, cell) == doctest::Approx(4.0).epsilon(0.015));  // the passes have converged
    CHECK(average_rate_hz(fresh, cell) ==
          doctest::Approx(4.0).epsilon(0.12));  // some 900 spikes: 3 to 4 % error
  }
  CHECK(calibrate(drive, 1, 3) == alpha);
  CHECK_THROWS_AS(calibrate(std::span<const float>(drive).first(kCells * 300), 1), std::invalid_argument);
  const std::vector<float> silent(kCells * 400, -50.0f);
  CHECK_THROWS_WITH_AS(calibrate(silent, 1), doctest::Contains("cell 0 never fires"), std::runtime_error);
}

TEST_CASE("retina reliability: figures that can be told by hand") {
  const std::vector<float> x{1, 2, 3, 4}, y{2, 4, 6, 8}, down{4, 3, 2, 1}, flat{1, 1, 1, 1},
      other{1, 0, 0, 1};
  CHECK(correlation(x, y) == doctest::Approx(1.0));
  CHECK(correlation(x, down) == doctest::Approx(-1.0));
  CHECK(correlation(x, other) == doctest::Approx(0.0));
  CHECK(std::isnan(correlation(x, flat)));
  CHECK_THROWS_AS(correlation(x, std::span<const float>(y).first(3)), std::invalid_argument);

  // Two trials of cell 0, ten frames after the adaptation. Windows: counts (2, 0), then (1, 1).
  const int frames = kAdaptationFrames + 10;
  Trials trials{.trials = 2,
                .frames = frames,
                .count = std::vector<std::uint8_t>(static_cast<std::size_t>(2 * kCells * frames))};
  auto at = [&](int trial, int t) -> std::uint8_t& {
    return trials.count[static_cast<std::size_t>(trial * kCells * frames + t)];
  };
  at(0, 10) = 9;  // adaptation: must not count
  at(0, kAdaptationFrames + 1) = 2;
  at(0, kAdaptationFrames + 7) = 1;
  at(1, kAdaptationFrames + 8) = 1;
  CHECK(fano_factor(trials, 0) == doctest::Approx((2.0 + 0.0) / (1.0 + 1.0)));
  CHECK(average_rate_hz(trials, 0) == doctest::Approx(4.0 / 0.2));
  CHECK(peak_rate_hz(trials, 0) < 50.0);
  CHECK(peak_rate_hz(trials, 0) > 39.0);
  const auto rates = trial_rates(trials);
  const std::span<const float> all(rates);
  const auto first = all.subspan(kAdaptationFrames, 10);
  const auto second = all.subspan(static_cast<std::size_t>(kCells * frames + kAdaptationFrames), 10);
  CHECK(split_half(trials, 0) == doctest::Approx(correlation(first, second)));
  CHECK(trial_to_others(trials, 0, 2) == doctest::Approx(correlation(first, second)));
  CHECK(noise_ceiling(std::span<const float>(mean_rate(trials)).first(static_cast<std::size_t>(frames)),
                      trials, 0) == doctest::Approx(1.0));
  CHECK_THROWS_AS(trial_to_others(trials, 0, 3), std::invalid_argument);
}
