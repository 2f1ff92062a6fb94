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

  // The courses in time are eigenvectors of the overlaps of the frames. Squaring a matrix again and again
  // leaves only its strongest eigenvector, wherever that points: no start to choose that could miss it.
  std::vector<double> power(rows * rows), square(rows * rows);
  for (std::size_t s = 0; s < rows; ++s)
    for (std::size_t t = 0; t < rows; ++t)
      for (std::size_t p = 0; p < pixels; ++p)
        power[s * rows + t] += filter[s * pixels + p] / total * (filter[t * pixels + p] / total);
  constexpr int kSquarings = 50;  // eigenvalues that differ by 1e-13 of the largest come apart
  for (int i = 0; i < kSquarings; ++i) {
    std::fill(square.begin(), square.end(), 0.0);
    double trace = 0;
    for (std::size_t s = 0; s < rows; ++s) {
      for (std::size_t k = 0; k < rows; ++k)
        for (std::size_t t = 0; t < rows; ++t)
          square[s * rows + t] += power[s * rows + k] * power[k * rows + t];
      trace += square[s * rows + s];
    }
    scale(square, 1 / trace);
    power.swap(square);
  }
  std::size_t strongest = 0;
  for (std::size_t t = 0; t < rows; ++t)
    if (power[t * rows + t] > power[strongest * rows + strongest]) strongest = t;
  const auto course = std::span(power).subspan(strongest * rows, rows);
  for (std::size_t t = 0; t < rows; ++t)
    for (std::size_t p = 0; p < pixels; ++p) result.space[p] += filter[t * pixels + p] / total * course[t];
  scale(result.space, 1 / length(result.space));
  for (std::size_t t = 0; t < rows; ++t)
    for (std::size_t p = 0; p < pixels; ++p) result.time[t] += filter[t * pixels + p] * result.space[p];
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
