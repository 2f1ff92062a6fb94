// SPDX-License-Identifier: Apache-2.0
#include "models/retina/reliability.h"

#include <algorithm>
#include <cmath>
#include <limits>
#include <stdexcept>

#include <fmt/format.h>

#include "models/retina/noise_ceiling.h"

namespace fovea::retina {
namespace {

constexpr int kFanoWindow = 5;  // frames, 50 ms

std::vector<float> rate_of_sum(const Trials& trials, int cell, auto&& chosen) {
  std::vector<std::uint16_t> sum(static_cast<std::size_t>(trials.frames));
  int used = 0;
  for (int trial = 0; trial < trials.trials; ++trial) {
    if (!chosen(trial)) continue;
    ++used;
    const auto counts = trials.of(trial, cell);
    for (std::size_t t = 0; t < sum.size(); ++t) sum[t] = static_cast<std::uint16_t>(sum[t] + counts[t]);
  }
  return estimate_rate(sum, std::max(used, 1));
}

std::span<const float> settled(std::span<const float> rate) {
  return rate.subspan(std::min<std::size_t>(kAdaptationFrames, rate.size()));
}

void need_trials(const Trials& trials, int least, const char* what) {
  if (trials.trials < least || trials.frames <= kAdaptationFrames + kFanoWindow) {
    throw std::invalid_argument(
        fmt::format("{}: {} trials of {} frames, at least {} trials of more than {} frames are needed", what,
                    trials.trials, trials.frames, least, kAdaptationFrames + kFanoWindow));
  }
}

}  // namespace

double correlation(std::span<const float> x, std::span<const float> y) {
  if (x.size() != y.size() || x.size() < 2) {
    throw std::invalid_argument(fmt::format("correlation: {} values against {}", x.size(), y.size()));
  }
  const double n = static_cast<double>(x.size());
  double mean_x = 0.0, mean_y = 0.0;
  for (std::size_t i = 0; i < x.size(); ++i) {
    mean_x += static_cast<double>(x[i]);
    mean_y += static_cast<double>(y[i]);
  }
  mean_x /= n;
  mean_y /= n;
  double xx = 0.0, xy = 0.0, yy = 0.0;
  for (std::size_t i = 0; i < x.size(); ++i) {
    const double dx = static_cast<double>(x[i]) - mean_x, dy = static_cast<double>(y[i]) - mean_y;
    xx += dx * dx;
    xy += dx * dy;
    yy += dy * dy;
  }
  return xx > 0.0 && yy > 0.0 ? xy / std::sqrt(xx * yy) : std::numeric_limits<double>::quiet_NaN();
}

double noise_ceiling(std::span<const float> true_rate, const Trials& trials, int cell) {
  need_trials(trials, 1, "noise ceiling");
  return correlation(settled(true_rate), settled(rate_of_sum(trials, cell, [](int) { return true; })));
}

double trial_to_others(const Trials& trials, int cell, int used) {
  need_trials(trials, std::max(used, 2), "trial to others");
  std::vector<float> rates;
  for (int one = 0; one < used; ++one) {
    const std::vector<float> rate = rate_of_sum(trials, cell, [&](int trial) { return trial == one; });
    const std::span<const float> late = settled(rate);
    rates.insert(rates.end(), late.begin(), late.end());
  }
  return leave_one_out({.response = rates, .trials = used});
}

double split_half(const Trials& trials, int cell) {
  need_trials(trials, 2, "split half");
  return correlation(settled(rate_of_sum(trials, cell, [](int trial) { return trial % 2 == 0; })),
                     settled(rate_of_sum(trials, cell, [](int trial) { return trial % 2 == 1; })));
}

double fano_factor(const Trials& trials, int cell) {
  need_trials(trials, 2, "Fano factor");
  double variances = 0.0, means = 0.0;
  for (int first = kAdaptationFrames; first + kFanoWindow <= trials.frames; first += kFanoWindow) {
    double sum = 0.0, squares = 0.0;
    for (int trial = 0; trial < trials.trials; ++trial) {
      int n = 0;
      for (std::uint8_t count : trials.of(trial, cell).subspan(static_cast<std::size_t>(first), kFanoWindow))
        n += count;
      sum += n;
      squares += n * n;
    }
    means += sum / trials.trials;
    variances += (squares - sum * sum / trials.trials) / (trials.trials - 1);
  }
  return variances / means;
}

double peak_rate_hz(const Trials& trials, int cell) {
  need_trials(trials, 1, "peak rate");
  const std::vector<float> rate = rate_of_sum(trials, cell, [](int) { return true; });
  return static_cast<double>(std::ranges::max(settled(rate)));
}

double average_rate_hz(const Trials& trials, int cell) {
  need_trials(trials, 1, "average rate");
  long spikes = 0;
  for (int trial = 0; trial < trials.trials; ++trial) {
    for (std::uint8_t n : trials.of(trial, cell).subspan(kAdaptationFrames)) spikes += n;
  }
  return static_cast<double>(spikes) / (trials.trials * (trials.frames - kAdaptationFrames) * kFrame_s);
}

}  // namespace fovea::retina
