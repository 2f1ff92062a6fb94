// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstdint>
#include <vector>

#include "tensor/tensor.h"

/// How well predicted responses fit measured ones, cell by cell. prediction and target are [T, cells], of one
/// unit, on any device; sums are taken in double, in order. Each throws ShapeError unless the shapes agree
/// and T ≥ 1.
namespace fovea::nn {

/// A score per cell. Where a score is not defined (a constant response, a NaN in the data) the cell's value
/// is NaN, and the summary leaves it out and says how many it left out.
struct CellScores {
  std::vector<double> values;
  double mean = 0.0;            ///< of the defined values; NaN if there are none
  double standard_error = 0.0;  ///< sample standard deviation over √n; NaN for fewer than two values
  std::int64_t undefined = 0;   ///< cells left out
};
/// From values of which some may be NaN.
CellScores summarize(std::vector<double> values);

/// Pearson's correlation, -1 … 1. Undefined if either column is constant.
CellScores pearson(const Tensor& prediction, const Tensor& target);

/// 1 - mean((y - ŷ)²)/Var(y), at most 1; 0 for the mean of the target, negative for worse. Undefined for a
/// constant target.
CellScores explained_variance(const Tensor& prediction, const Tensor& target);

/// √mean((y - ŷ)²), in the unit of the data.
CellScores rmse(const Tensor& prediction, const Tensor& target);

/// mean(y·log(ŷ + 1e-9) - ŷ): the Poisson log-likelihood without its constant; larger is better. Undefined if
/// a prediction is below -1e-9.
CellScores poisson_log_likelihood(const Tensor& prediction, const Tensor& target);

}  // namespace fovea::nn
