// SPDX-License-Identifier: Apache-2.0
#include "tests/apps/sample_report.h"

#include <fmt/format.h>

#include <cmath>
#include <cstddef>

namespace fovea::apps {
namespace {

/// Enough randomness for a picture: a linear congruence, the sum of four uniforms for a bell.
class Dice {
 public:
  explicit Dice(std::uint64_t seed) : state_(seed * 2654435761u + 12345) {}
  double uniform() {
    state_ = state_ * 6364136223846793005ull + 1442695040888963407ull;
    return static_cast<double>(state_ >> 11) * 0x1p-53;
  }
  double bell() { return (uniform() + uniform() + uniform() + uniform() - 2) * 1.732; }

 private:
  std::uint64_t state_;
};

SpaceTimeFilter filter(const std::string& name, int size, double row, double column, double sign,
                       double delay_ms, double noise, std::uint64_t seed) {
  SpaceTimeFilter f{.name = name, .frames = 40, .height = size, .width = size, .pixel_um = 55.55};
  std::vector<double> values;
  Dice dice(seed);
  for (int t = 0; t < 40; ++t) {
    const double before_ms = 10.0 * (40 - t);
    const double u = before_ms / delay_ms;
    f.time.push_back(sign * (u * u * std::exp(2 - 2 * u) - 0.55 * std::pow(u / 2, 4) * std::exp(4 - 2 * u)));
  }
  for (int y = 0; y < size; ++y)
    for (int x = 0; x < size; ++x) {
      const double d2 = (y - row) * (y - row) + (x - column) * (x - column), s = size / 10.0;
      f.space.push_back(std::exp(-d2 / (2 * s * s)) - 0.28 * std::exp(-d2 / (8 * s * s)));
    }
  for (const double t : f.time)
    for (const double s : f.space) values.push_back(t * s + noise * dice.bell());
  take_slices(f, values);
  f.separable_share = 0.97 - 1.5 * noise;
  return f;
}

CellTrace trace(const std::string& name, int cell) {
  CellTrace out;
  out.name = name;
  out.start_s = 12;
  Dice dice(static_cast<std::uint64_t>(cell) + 40);
  const int bins = 600, trials = 6;
  std::vector<double> rate(bins, 0.3);
  for (int burst = 0; burst < 13; ++burst) {
    const double at = dice.uniform() * bins, height = 15 + 55 * dice.uniform(),
                 width = 3 + 6 * dice.uniform();
    for (int i = 0; i < bins; ++i)
      rate[static_cast<std::size_t>(i)] += height * std::exp(-std::pow((i - at) / width, 2));
  }
  out.spikes_s.resize(trials);
  for (int i = 0; i < bins; ++i) {
    const double truth = rate[static_cast<std::size_t>(i)];
    int count = 0;
    for (auto& spikes : out.spikes_s)
      if (dice.uniform() < truth * 0.01) spikes.push_back(out.start_s + (i + dice.uniform()) * 0.01), ++count;
    const double recorded = 0.75 * truth + 0.25 * count / trials * 100;
    const double error = 2 + 0.12 * truth;
    out.recorded_hz.push_back(recorded);
    out.recorded_low_hz.push_back(std::max(0.0, recorded - error));
    out.recorded_high_hz.push_back(recorded + error);
    out.predicted_hz.push_back(0.85 * truth + 2 + 2 * std::sin(i * 0.11 + cell));
    out.baseline_hz.push_back(0.35 * truth + 5 + 3.5 * std::sin(i * 0.07 + 2 * cell));
  }
  out.correlation = 0.71 - 0.02 * cell;
  return out;
}

}  // namespace

ReportData sample_report() {
  ReportData data;
  data.title = "Deep Retina on natural scenes";
  data.run = "runs/deep_retina-1";
  data.model = "Deep Retina";
  data.summary =
      "A convolutional network fitted to the firing rates of eight ganglion cells in 15 minutes of natural "
      "scenes. "
      "2 000 steps, finished.";
  data.data_note = "Simulated retina with a known circuit: no score here is a claim about a biological one.";
  data.trials = 6;
  data.loss_label = "Poisson loss (per 10 ms bin)";
  const char* types[] = {"fast OFF", "fast OFF", "fast OFF", "slow OFF",
                         "slow OFF", "ON-OFF",   "ON-OFF",   "ON"};
  for (int cell = 0; cell < 8; ++cell) {
    const std::string name = fmt::format("cell {}, {}", cell, types[cell]);
    const double dip = 0.04 * std::sin(2.0 * cell);
    data.cells.push_back({name, 0.71 + dip, cell == 5 ? 0.32 : 0.52 + 2 * dip, 0.86 + dip / 3});
    if (cell < 4) data.traces.push_back(trace(name, cell));
    data.averages.push_back(filter(name, 50, 18 + 1.6 * cell, 30 - 2.0 * cell, cell == 7 ? 1 : -1,
                                   cell < 3 ? 55 : 85, 0.05, static_cast<std::uint64_t>(cell) + 9));
  }
  Dice dice(7);
  Curve training{"training", {}, {}}, validation{"validation", {}, {}}, correlation{"validation", {}, {}};
  for (int step = 10; step <= 2000; step += 10) {
    training.step.push_back(step);
    training.value.push_back(-2.1 + 1.9 * std::exp(-step / 260.0) + 0.07 * dice.bell());
    if (step % 100 != 0) continue;
    validation.step.push_back(step);
    validation.value.push_back(-2.0 + 1.8 * std::exp(-step / 280.0));
    correlation.step.push_back(step);
    correlation.value.push_back(0.72 * (1 - std::exp(-step / 350.0)) + 0.006 * dice.bell());
  }
  data.loss = {training, validation};
  data.correlation = {correlation};
  for (int k = 0; k < 8; ++k)
    data.filters.push_back(filter(fmt::format("filter {}", k), 15, 4 + 7 * dice.uniform(),
                                  4 + 7 * dice.uniform(), k % 3 == 0 ? 1 : -1, 45 + 12 * k,
                                  0.03 + 0.01 * (k % 4), static_cast<std::uint64_t>(k) + 70));
  data.config = {{"model.name", "\"deep_retina\""},
                 {"model.channels", "[8, 8]"},
                 {"model.kernels", "[15, 11]"},
                 {"train.batch", "64"},
                 {"train.steps", "2000"},
                 {"train.seed", "1"},
                 {"optim.name", "\"adam\""},
                 {"optim.lr", "0.001"},
                 {"data.path", "\"retina-natural\""}};
  data.provenance = {{"seed", "1"},
                     {"build", "1a2b3c4 release gcc-12.2.0"},
                     {"device", "cpu avx512, 2 threads"},
                     {"data", "retina-natural, seed 1, fnv1a64 9ae16a3b2f90404f"},
                     {"wall time", "3 min 42 s"},
                     {"command", "fovea train deep_retina --preset demo --seed 1"}};
  return data;
}

}  // namespace fovea::apps
