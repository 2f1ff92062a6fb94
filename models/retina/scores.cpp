// SPDX-License-Identifier: Apache-2.0
#include "models/retina/scores.h"

#include <cmath>

#include "models/retina/noise_ceiling.h"
#include "tensor/views.h"

namespace fovea::retina {

Scores score(const Tensor& rate, const Tensor& target, const Tensor& repeats) {
  Scores scores{.pearson = nn::pearson(rate, target),
                .explained_variance = nn::explained_variance(rate, target),
                .rmse_hz = nn::rmse(rate, target),
                .log_likelihood = nn::poisson_log_likelihood(rate, target),
                .cc_norm = {},
                .feve = {}};
  const std::int64_t cells = rate.size(1);
  std::vector<double> normalised(static_cast<std::size_t>(cells), std::nan("")), explained = normalised;
  if (repeats.defined()) {
    if (repeats.rank() != 3 || repeats.size(1) != cells || repeats.size(2) != rate.size(0))
      reject("score", "repeats {} are not [repeats, cells, T] for rate {}", repeats.shape(), rate.shape());
    for (std::int64_t cell = 0; cell < cells; ++cell) {
      const auto prediction = select(rate, 1, cell).to_vector<float>();
      const auto response = select(repeats, 1, cell).to_vector<float>();
      const Repeats of_cell{.response = response, .trials = repeats.size(0)};
      normalised[static_cast<std::size_t>(cell)] = cc_norm(prediction, of_cell);
      explained[static_cast<std::size_t>(cell)] = explainable_variance_explained(prediction, of_cell);
    }
  }
  scores.cc_norm = nn::summarize(std::move(normalised));
  scores.feve = nn::summarize(std::move(explained));
  return scores;
}

double mean_change(const Tensor& changed, const Tensor& rate) {
  if (changed.shape() != rate.shape())
    reject("mean_change", "rates {} and {} differ in shape", changed.shape(), rate.shape());
  const auto now = changed.to_vector<double>(), before = rate.to_vector<double>();
  double difference = 0, sum = 0;
  for (std::size_t i = 0; i < now.size(); ++i) {
    difference += std::abs(now[i] - before[i]);
    sum += before[i];
  }
  return difference / sum;
}

}  // namespace fovea::retina
