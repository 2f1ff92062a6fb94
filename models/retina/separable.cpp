// SPDX-License-Identifier: Apache-2.0
#include "models/retina/separable.h"

#include <algorithm>
#include <cmath>

#include "tensor/errors.h"

namespace fovea::retina {
namespace {

double length(std::span<const double> v) {
  double sum = 0;
  for (const double x : v) sum += x * x;
  return std::sqrt(sum);
}

void scale(std::span<double> v, double by) {
  for (double& x : v) x *= by;
}

}  // namespace

Separable separate(std::span<const double> filter, std::int64_t frames) {
  const auto rows = static_cast<std::size_t>(frames);
  if (frames < 1 || filter.size() % rows != 0)
    reject<ValueError>("separate", "{} values are no whole number of pixels in {} frames", filter.size(),
                       frames);
  const std::size_t pixels = filter.size() / rows;
  Separable result{std::vector<double>(rows), std::vector<double>(pixels), 0};
  const double total = length(filter);
  if (total == 0) return result;

  // Power iteration from the frame of largest energy; it converges unless two components are equally strong.
  std::size_t strongest = 0;
  double most = -1;
  for (std::size_t t = 0; t < rows; ++t)
    if (const double energy = length(filter.subspan(t * pixels, pixels)); energy > most) {
      most = energy;
      strongest = t;
    }
  std::copy_n(filter.begin() + static_cast<std::ptrdiff_t>(strongest * pixels), pixels, result.space.begin());
  scale(result.space, 1 / most);
  constexpr int kIterations = 200;
  for (int i = 0; i < kIterations; ++i) {
    for (std::size_t t = 0; t < rows; ++t) {
      result.time[t] = 0;
      for (std::size_t p = 0; p < pixels; ++p) result.time[t] += filter[t * pixels + p] * result.space[p];
    }
    const double norm = length(result.time);
    if (norm == 0) return result;
    std::fill(result.space.begin(), result.space.end(), 0.0);
    for (std::size_t t = 0; t < rows; ++t)
      for (std::size_t p = 0; p < pixels; ++p) result.space[p] += filter[t * pixels + p] * result.time[t];
    scale(result.space, 1 / length(result.space));
  }
  const auto peak = *std::max_element(result.time.begin(), result.time.end(),
                                      [](double a, double b) { return std::abs(a) < std::abs(b); });
  if (peak < 0) {
    scale(result.time, -1);
    scale(result.space, -1);
  }
  result.share = std::pow(length(result.time) / total, 2);
  return result;
}

}  // namespace fovea::retina
