// SPDX-License-Identifier: Apache-2.0
#include "models/retina/simulator.h"

#include <algorithm>
#include <stdexcept>

#include <doctest/doctest.h>

#include "models/retina/stimuli.h"

using namespace fovea::retina;

namespace {

/// Rates by cell to movies that are even over the field.
class FullField {
 public:
  std::vector<std::vector<double>> rates(const std::vector<float>& z) const {
    std::vector<float> movie;
    for (float value : z) movie.insert(movie.end(), kPixels, value);
    const std::vector<float> rate = simulator_.rates(movie);
    std::vector<std::vector<double>> by_cell(kCells);
    for (std::size_t i = 0; i < rate.size(); ++i)
      by_cell[i / z.size()].push_back(static_cast<double>(rate[i]));
    return by_cell;
  }

 private:
  Simulator simulator_{dead_leaves(20, 1, 0), 1, 2, 60.0};
};

double peak(const std::vector<double>& rate, std::size_t first, std::size_t last) {
  return *std::max_element(rate.begin() + static_cast<std::ptrdiff_t>(first),
                           rate.begin() + static_cast<std::ptrdiff_t>(last));
}

}  // namespace

TEST_CASE("retina: responses to steps and flashes of the whole field") {
  const FullField field;
  // A step to darker for one second. Amplitudes hang on the contrast of the scene seen before (they vary by
  // half between scenes), so the bounds are wide; which cell answers when is what counts.
  std::vector<float> step(200, 0.0f);
  std::fill(step.begin() + 20, step.begin() + 120, -1.0f);
  const auto rate = field.rates(step);
  for (std::size_t cell : {0u, 1u, 2u}) {  // fast OFF: a transient at the onset
    CHECK(peak(rate[cell], 20, 60) > 60.0);
    CHECK(peak(rate[cell], 20, 60) < 250.0);
    CHECK(peak(rate[cell], 110, 120) < 2.0);
    CHECK(peak(rate[cell], 120, 200) < 0.1 * peak(rate[cell], 20, 60));
  }
  for (std::size_t cell : {3u, 4u}) {  // slow OFF: the same, weaker
    CHECK(peak(rate[cell], 20, 60) > 12.0);
    CHECK(peak(rate[cell], 20, 60) < peak(rate[0], 20, 60));
    CHECK(peak(rate[cell], 120, 200) < 5.0);
  }
  for (std::size_t cell : {5u, 6u}) {  // ON-OFF: both edges
    CHECK(peak(rate[cell], 20, 60) > 15.0);
    CHECK(peak(rate[cell], 120, 200) > 15.0);
    CHECK(peak(rate[cell], 110, 120) < 2.0);
  }
  CHECK(peak(rate[7], 120, 200) > 50.0);  // ON: the return of light
  CHECK(peak(rate[7], 20, 60) < 5.0);

  // Flashes of two frames: the stronger, the higher the answer; its centre of mass stays.
  double last = 0.0;
  for (float strength : {-0.5f, -1.0f, -1.5f, -2.0f}) {
    std::vector<float> flash(70, 0.0f);
    flash[40] = flash[41] = strength;
    const auto answer = field.rates(flash);
    CHECK(peak(answer[0], 40, 60) > 1.5 * last);
    last = peak(answer[0], 40, 60);
    auto centre_of_mass_ms = [&](std::size_t cell) {
      double sum = 0.0, moment = 0.0;
      for (std::size_t t = 40; t < 60; ++t) {
        const double above = std::max(0.0, answer[cell][t] - answer[cell][39]);
        sum += above;
        moment += above * 10.0 * static_cast<double>(t - 40);
      }
      return moment / sum;
    };
    CHECK(centre_of_mass_ms(0) == doctest::Approx(36.0).epsilon(0.06));
    if (strength < -1.9f) CHECK(centre_of_mass_ms(3) == doctest::Approx(51.0).epsilon(0.06));
  }
  CHECK(last > 60.0);

  // Two flashes 60 ms apart answer less than the sum of each alone: the first has emptied the terminals.
  auto sum_of = [&](bool first, bool second) {
    std::vector<float> flash(100, 0.0f);
    if (first) flash[40] = -2.0f;
    if (second) flash[46] = -2.0f;
    const auto answer = field.rates(flash);
    double sum = 0.0;
    for (std::size_t t = 40; t < 80; ++t) sum += answer[0][t] - answer[0][39];
    return sum;
  };
  const double ratio = sum_of(true, true) / (sum_of(true, false) + sum_of(false, true));
  CHECK(ratio > 0.3);
  CHECK(ratio < 0.85);
}

TEST_CASE("retina: each experiment finds the simulator in the same state") {
  const Simulator simulator(dead_leaves(4, 1, 0), 1, 1, 10.0);
  std::vector<float> movie(60 * kPixels);
  for (std::size_t i = 0; i < movie.size(); ++i) movie[i] = static_cast<float>((i * 7919) % 17) / 8.0f - 1.0f;
  const auto first = simulator.rates(movie);
  CHECK(first.size() == kCells * 60);
  CHECK(simulator.rates(movie) == first);
  CHECK(Simulator(dead_leaves(4, 1, 0), 1, 3, 10.0).rates(movie) == first);
  CHECK(Simulator(dead_leaves(4, 1, 0), 2, 1, 10.0).rates(movie) != first);
  CHECK_THROWS_AS(simulator.rates(std::span<const float>(movie).first(kPixels - 1)), std::invalid_argument);
}
