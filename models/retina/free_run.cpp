// SPDX-License-Identifier: Apache-2.0
#include "models/retina/free_run.h"

#include <cmath>
#include <vector>

#include "autograd/ops/elementwise.h"
#include "kernels/philox.h"
#include "tensor/views.h"

namespace fovea::retina {
namespace {

constexpr double kBin_s = 0.01;

/// The k with P(fewer than k) ≤ u < P(at most k), of a Poisson distribution.
int poisson(double mean, double u) {
  double term = std::exp(-mean), below = term;
  int k = 0;
  for (; u >= below && k < 100; ++k) {  // means are at most 10
    term *= mean / (k + 1);
    below += term;
  }
  return k;
}

}  // namespace

FreeRun free_run(RateModel& model, const Tensor& drive, std::int64_t history, const FreeRunOptions& options) {
  const std::int64_t bins = drive.size(0), cells = drive.size(1), trials = options.trials;
  if (trials < 1) reject<ValueError>("free run", "expected at least one trial, got {}", trials);
  const Device host = Device::cpu({.threads = 1});
  const philox::Key key{options.seed, philox::stream_id("free_run"), 0, nullptr};
  const auto per_bin = static_cast<std::size_t>(trials * cells);

  std::vector<float> mean(static_cast<std::size_t>(bins * cells), 0.0f);
  // [history + T, trials, cells]: what a bin needs lies in one piece.
  std::vector<float> counts(static_cast<std::size_t>(history + bins) * per_bin, 0.0f);
  std::int64_t capped = 0;
  for (std::int64_t t = 0; t < bins; ++t) {
    const auto first = static_cast<std::size_t>(t) * per_bin;
    const std::vector<float> seen(
        counts.begin() + static_cast<std::ptrdiff_t>(first),
        counts.begin() + static_cast<std::ptrdiff_t>(first + static_cast<std::size_t>(history) * per_bin));
    const Tensor past = permute(Tensor::from(seen, {history, trials, cells}, host, "past"), {1, 0, 2});
    const Var own = model.past_drive(past.contiguous("past").to(drive.device()));
    const std::vector<float> rates =
        model.rate(add(own, select(drive, 0, t))).value().to_vector<float>();  // [trials, cells]
    for (std::size_t i = 0; i < per_bin; ++i) {
      const float rate = rates[i] < kLargestRate_hz ? rates[i] : kLargestRate_hz;
      if (rates[i] > kLargestRate_hz) ++capped;
      const auto trial = static_cast<std::int64_t>(i) / cells, cell = static_cast<std::int64_t>(i) % cells;
      const auto index = static_cast<std::uint64_t>((trial * bins + t) * cells + cell);
      mean[static_cast<std::size_t>(t * cells + cell)] += rate / static_cast<float>(trials);
      counts[first + static_cast<std::size_t>(history) * per_bin + i] =
          static_cast<float>(poisson(double{rate} * kBin_s, double{philox::uniform_at(key, index)}));
    }
  }
  const Tensor all = Tensor::from(counts, {history + bins, trials, cells}, host, "counts");
  return {Tensor::from(mean, {bins, cells}, host, "rate"),
          permute(slice(all, 0, history, history + bins), {1, 0, 2}).contiguous("counts"),
          static_cast<double>(capped) / static_cast<double>(bins * trials * cells)};
}

}  // namespace fovea::retina
