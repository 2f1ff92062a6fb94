// SPDX-License-Identifier: Apache-2.0
#include "models/retina/least_squares.h"

#include <algorithm>
#include <cmath>
#include <cstddef>
#include <numeric>
#include <utility>

#include "tensor/errors.h"

namespace fovea::retina {
namespace {

/// Solves a·z = b for a symmetric, positive definite a [n, n], by a = L·Lᵀ (Cholesky).
std::vector<double> solve(std::vector<double> a, std::vector<double> b) {
  const std::size_t n = b.size();
  const auto at = [&](std::size_t i, std::size_t j) -> double& { return a[i * n + j]; };
  for (std::size_t j = 0; j < n; ++j) {
    for (std::size_t k = 0; k < j; ++k)
      for (std::size_t i = j; i < n; ++i) at(i, j) -= at(i, k) * at(j, k);
    const double pivot = std::sqrt(at(j, j));
    for (std::size_t i = j; i < n; ++i) at(i, j) /= pivot;
  }
  for (std::size_t i = 0; i < n; ++i) {
    for (std::size_t k = 0; k < i; ++k) b[i] -= at(i, k) * b[k];
    b[i] /= at(i, i);
  }
  for (std::size_t i = n; i-- > 0;) {
    for (std::size_t k = i + 1; k < n; ++k) b[i] -= at(k, i) * b[k];
    b[i] /= at(i, i);
  }
  return b;
}

void check_samples(const char* op, std::span<const double> x, std::span<const double> y, std::size_t least) {
  if (x.size() != y.size() || x.size() < least)
    reject<ValueError>(op, "{} and {} numbers, expected equally many and at least {}", x.size(), y.size(),
                       least);
}

}  // namespace

std::vector<double> fit_polynomial(std::span<const double> x, std::span<const double> y, int degree) {
  const auto n = static_cast<std::size_t>(degree) + 1;
  check_samples("polynomial", x, y, n);
  std::vector<double> moments(2 * n - 1, 0.0), right(n, 0.0);
  for (std::size_t i = 0; i < x.size(); ++i) {
    double power = 1;
    for (std::size_t k = 0; k < moments.size(); ++k, power *= x[i]) {
      moments[k] += power;
      if (k < n) right[k] += power * y[i];
    }
  }
  std::vector<double> normal(n * n);
  for (std::size_t i = 0; i < n; ++i)
    for (std::size_t j = 0; j < n; ++j) normal[i * n + j] = moments[i + j] + (i == j ? 1e-9 * moments[0] : 0);
  return solve(std::move(normal), std::move(right));
}

BrokenLine fit_bins(std::span<const double> x, std::span<const double> y, int bins) {
  const auto count = static_cast<std::size_t>(bins);
  check_samples("bins", x, y, std::max<std::size_t>(count, 2));
  std::vector<std::size_t> order(x.size());
  std::iota(order.begin(), order.end(), std::size_t{0});
  std::stable_sort(order.begin(), order.end(), [&](std::size_t a, std::size_t b) { return x[a] < x[b]; });
  BrokenLine line;
  for (std::size_t bin = 0; bin < count; ++bin) {
    const std::size_t first = bin * x.size() / count, last = (bin + 1) * x.size() / count;
    double sum_x = 0, sum_y = 0;
    for (std::size_t i = first; i < last; ++i) {
      sum_x += x[order[i]];
      sum_y += y[order[i]];
    }
    line.x.push_back(sum_x / static_cast<double>(last - first));
    line.y.push_back(sum_y / static_cast<double>(last - first));
  }
  return line;
}

}  // namespace fovea::retina
