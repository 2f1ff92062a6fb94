// SPDX-License-Identifier: Apache-2.0
#include "models/retina/noise_ceiling.h"

#include <bit>
#include <cmath>
#include <limits>

#include "models/retina/reliability.h"
#include "nn/data/shuffle.h"

namespace fovea::retina {
namespace {

constexpr double kNaN = std::numeric_limits<double>::quiet_NaN();
constexpr int kAllHalvings = 8;     // trials up to which each halving is tried: 35 for 8
constexpr int kDrawnHalvings = 50;  // beyond that

bool defined(const Repeats& repeats) { return repeats.trials >= 2 && repeats.bins() >= 2; }

std::vector<float> mean_of(const Repeats& repeats, std::span<const std::int64_t> chosen) {
  std::vector<double> sum(static_cast<std::size_t>(repeats.bins()));
  for (const std::int64_t trial : chosen) {
    const auto one = repeats.of(trial);
    for (std::size_t t = 0; t < sum.size(); ++t) sum[t] += static_cast<double>(one[t]);
  }
  std::vector<float> mean(sum.size());
  for (std::size_t t = 0; t < sum.size(); ++t)
    mean[t] = static_cast<float>(sum[t] / static_cast<double>(chosen.size()));
  return mean;
}

/// Mean of (a − mean a)·(b − mean b).
double covariance(std::span<const float> a, std::span<const float> b) {
  const auto n = static_cast<double>(a.size());
  double mean_a = 0, mean_b = 0, sum = 0;
  for (std::size_t t = 0; t < a.size(); ++t) {
    mean_a += static_cast<double>(a[t]) / n;
    mean_b += static_cast<double>(b[t]) / n;
  }
  for (std::size_t t = 0; t < a.size(); ++t)
    sum += (static_cast<double>(a[t]) - mean_a) * (static_cast<double>(b[t]) - mean_b);
  return sum / n;
}

/// Each way to choose two halves of equal size, or some of them: lists of trials whose first half stands
/// against its second half.
std::vector<std::vector<std::int64_t>> halvings(std::int64_t trials) {
  const std::int64_t half = trials / 2;
  std::vector<std::vector<std::int64_t>> result;
  if (trials > kAllHalvings) {
    for (std::uint32_t k = 0; k < kDrawnHalvings; ++k)
      result.push_back(nn::shuffled(trials, {1, philox::stream_id("halvings"), k, nullptr}));
    for (auto& order : result) order.resize(static_cast<std::size_t>(2 * half));
    return result;
  }
  const auto all = (1u << trials) - 1;
  for (unsigned first = 1; first <= all; ++first)
    for (unsigned second = first + 1; second <= all; ++second) {
      if ((first & second) != 0 || std::popcount(first) != half || std::popcount(second) != half) continue;
      std::vector<std::int64_t> order;
      for (const unsigned set : {first, second})
        for (std::int64_t trial = 0; trial < trials; ++trial)
          if ((set >> trial & 1u) != 0) order.push_back(trial);
      result.push_back(std::move(order));
    }
  return result;
}

}  // namespace

std::vector<float> Repeats::mean() const {
  std::vector<std::int64_t> all;
  for (std::int64_t trial = 0; trial < trials; ++trial) all.push_back(trial);
  return mean_of(*this, all);
}

double leave_one_out(const Repeats& repeats) {
  if (!defined(repeats)) return kNaN;
  double sum = 0;
  for (std::int64_t one = 0; one < repeats.trials; ++one) {
    std::vector<std::int64_t> others;
    for (std::int64_t trial = 0; trial < repeats.trials; ++trial)
      if (trial != one) others.push_back(trial);
    sum += correlation(repeats.of(one), mean_of(repeats, others));
  }
  return sum / static_cast<double>(repeats.trials);
}

double split_half_reliability(const Repeats& repeats) {
  if (!defined(repeats)) return kNaN;
  const auto trials = static_cast<double>(repeats.trials), half = std::floor(trials / 2);
  double rho = 0;
  const auto all = halvings(repeats.trials);
  for (const auto& order : all) {
    const auto first = std::span(order).first(order.size() / 2), second = std::span(order).last(first.size());
    rho += correlation(mean_of(repeats, first), mean_of(repeats, second));
  }
  rho /= static_cast<double>(all.size());
  const double one = rho / (half - (half - 1) * rho);
  return trials * one / (1 + (trials - 1) * one);
}

double ceiling_of(const Repeats& repeats) {
  const double rho = split_half_reliability(repeats);
  return rho > 0 ? std::sqrt(rho) : kNaN;
}

SignalPower signal_power(const Repeats& repeats) {
  if (!defined(repeats)) return {kNaN, kNaN};
  const auto trials = static_cast<double>(repeats.trials);
  const std::vector<float> mean = repeats.mean();
  const double of_mean = covariance(mean, mean);
  double single = 0;
  for (std::int64_t trial = 0; trial < repeats.trials; ++trial)
    single += covariance(repeats.of(trial), repeats.of(trial));
  const double signal = (trials * trials * of_mean - single) / (trials * (trials - 1));
  return {signal, signal > 0 ? std::sqrt(signal / of_mean) : kNaN};
}

double cc_norm(std::span<const float> prediction, const Repeats& repeats) {
  const double signal = signal_power(repeats).signal, own = covariance(prediction, prediction);
  return signal > 0 && own > 0 ? covariance(prediction, repeats.mean()) / std::sqrt(own * signal) : kNaN;
}

double explainable_variance_explained(std::span<const float> prediction, const Repeats& repeats) {
  if (!defined(repeats)) return kNaN;
  const auto trials = static_cast<double>(repeats.trials), bins = static_cast<double>(repeats.bins());
  const std::vector<float> mean = repeats.mean();
  double noise = 0, error = 0;
  for (std::int64_t trial = 0; trial < repeats.trials; ++trial) {
    const auto one = repeats.of(trial);
    for (std::size_t t = 0; t < one.size(); ++t) {
      const auto r = static_cast<double>(one[t]);
      noise += std::pow(r - static_cast<double>(mean[t]), 2) / ((trials - 1) * bins);
      error += std::pow(r - static_cast<double>(prediction[t]), 2) / (trials * bins);
    }
  }
  const double all = covariance(repeats.response, repeats.response);
  return all > noise ? 1 - (error - noise) / (all - noise) : kNaN;
}

}  // namespace fovea::retina
