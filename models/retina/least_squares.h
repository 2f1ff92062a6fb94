// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <span>
#include <vector>

namespace fovea::retina {

/// Coefficients c of the polynomial Σ_k c_k·x^k, k = 0 … degree, with the least Σ (y − p(x))²; by the normal equations,
/// in double, for x within ±1 and small degrees. Coefficients that the data leave open, as with equal x, are near 0.
/// throws ValueError unless x and y are equally many, more than degree
std::vector<double> fit_polynomial(std::span<const double> x, std::span<const double> y, int degree);

/// A broken line through points in the order of x.
struct BrokenLine {
  std::vector<double> x, y;
};
/// Means of x and of y in bins of equally many samples in the order of x: the line follows y as a function of x.
/// throws ValueError unless x and y are equally many, at least as many as bins, and bins at least 2
BrokenLine fit_bins(std::span<const double> x, std::span<const double> y, int bins);

}  // namespace fovea::retina
