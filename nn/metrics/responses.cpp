// SPDX-License-Identifier: Apache-2.0
#include "nn/metrics/responses.h"

#include <cmath>
#include <limits>
#include <span>

namespace fovea::nn {
namespace {

constexpr double kNaN = std::numeric_limits<double>::quiet_NaN();

double mean_of(std::span<const double> x) {
  double sum = 0.0;
  for (const double value : x) sum += value;
  return sum / static_cast<double>(x.size());
}

/// mean((a - shift_a)·(b - shift_b)).
double moment(std::span<const double> a, double shift_a, std::span<const double> b, double shift_b) {
  double sum = 0.0;
  for (std::size_t t = 0; t < a.size(); ++t) sum += (a[t] - shift_a) * (b[t] - shift_b);
  return sum / static_cast<double>(a.size());
}

/// Exactly constant: the variance of a constant such as 0.1 is not always 0 after rounding.
bool constant(std::span<const double> x) {
  for (const double value : x)
    if (value != x[0]) return false;
  return true;
}

double squared_error(std::span<const double> prediction, std::span<const double> target) {
  double sum = 0.0;
  for (std::size_t t = 0; t < target.size(); ++t) {
    const double error = target[t] - prediction[t];
    sum += error * error;
  }
  return sum / static_cast<double>(target.size());
}

/// score(prediction, target) of each column.
template <class F>
CellScores per_cell(const char* name, const Tensor& prediction, const Tensor& target, F&& score) {
  if (prediction.rank() != 2 || prediction.shape() != target.shape() || prediction.shape()[0] < 1)
    reject(name, "prediction {} and target {} are not both [T, cells] with T of at least 1",
           prediction.shape(), target.shape());
  const auto bins = static_cast<std::size_t>(target.shape()[0]);
  const auto cells = static_cast<std::size_t>(target.shape()[1]);
  const std::vector<double> p = prediction.to_vector<double>(), y = target.to_vector<double>();
  std::vector<double> values, column_p(bins), column_y(bins);
  for (std::size_t cell = 0; cell < cells; ++cell) {
    for (std::size_t t = 0; t < bins; ++t) {
      column_p[t] = p[t * cells + cell];
      column_y[t] = y[t * cells + cell];
    }
    values.push_back(score(std::span<const double>(column_p), std::span<const double>(column_y)));
  }
  return summarize(std::move(values));
}

}  // namespace

CellScores summarize(std::vector<double> values) {
  CellScores scores;
  double sum = 0.0, squares = 0.0;
  for (const double value : values) {
    if (std::isnan(value))
      ++scores.undefined;
    else
      sum += value;
  }
  const auto defined = static_cast<double>(static_cast<std::int64_t>(values.size()) - scores.undefined);
  scores.mean = defined > 0.0 ? sum / defined : kNaN;
  for (const double value : values)
    if (!std::isnan(value)) squares += (value - scores.mean) * (value - scores.mean);
  scores.standard_error = defined > 1.0 ? std::sqrt(squares / (defined - 1.0) / defined) : kNaN;
  scores.values = std::move(values);
  return scores;
}

CellScores pearson(const Tensor& prediction, const Tensor& target) {
  return per_cell("pearson", prediction, target, [](auto p, auto y) {
    if (constant(p) || constant(y)) return kNaN;
    const double mean_p = mean_of(p), mean_y = mean_of(y);
    return moment(p, mean_p, y, mean_y) /
           (std::sqrt(moment(p, mean_p, p, mean_p)) * std::sqrt(moment(y, mean_y, y, mean_y)));
  });
}

CellScores explained_variance(const Tensor& prediction, const Tensor& target) {
  return per_cell("explained_variance", prediction, target, [](auto p, auto y) {
    if (constant(y)) return kNaN;
    const double mean_y = mean_of(y);
    return 1.0 - squared_error(p, y) / moment(y, mean_y, y, mean_y);
  });
}

CellScores rmse(const Tensor& prediction, const Tensor& target) {
  return per_cell("rmse", prediction, target, [](auto p, auto y) { return std::sqrt(squared_error(p, y)); });
}

CellScores poisson_log_likelihood(const Tensor& prediction, const Tensor& target) {
  return per_cell("poisson_log_likelihood", prediction, target, [](auto p, auto y) {
    double sum = 0.0;
    for (std::size_t t = 0; t < y.size(); ++t) sum += y[t] * std::log(p[t] + 1e-9) - p[t];
    return sum / static_cast<double>(y.size());
  });
}

}  // namespace fovea::nn
