// SPDX-License-Identifier: Apache-2.0
#include <doctest/doctest.h>

#include <cmath>

#include "nn/metrics/responses.h"
#include "tests/nn/expect.h"

using namespace fovea;
using namespace fovea::test;

TEST_CASE("scores of two cells, worked out by hand") {
  for (const Device& device : both_devices()) {
    // Cell 0: y = 1 2 3 4, ŷ = 2 2 4 4. Cell 1: y = 0 2 0 2, ŷ = 2 0 2 0, its opposite.
    const Tensor target = floats({1, 0, 2, 2, 3, 0, 4, 2}, {4, 2}, device);
    const Tensor prediction = floats({2, 2, 2, 0, 4, 2, 4, 0}, {4, 2}, device);
    const nn::CellScores r = nn::pearson(prediction, target);
    CHECK(r.values[0] == doctest::Approx(1.0 / std::sqrt(1.25)));  // cov 1, var 1.25 and 1
    CHECK(r.values[1] == doctest::Approx(-1.0));
    CHECK(r.mean == doctest::Approx((1.0 / std::sqrt(1.25) - 1.0) / 2));
    CHECK(r.standard_error == doctest::Approx((1.0 / std::sqrt(1.25) + 1.0) / 2));  // |a - b|/2 for two
    CHECK(r.undefined == 0);

    const nn::CellScores fev = nn::explained_variance(prediction, target);
    CHECK(fev.values[0] == doctest::Approx(1 - 0.5 / 1.25));
    CHECK(fev.values[1] == doctest::Approx(1 - 4.0 / 1.0));

    const nn::CellScores error = nn::rmse(prediction, target);
    CHECK(error.values[0] == doctest::Approx(std::sqrt(0.5)));
    CHECK(error.values[1] == doctest::Approx(2.0));

    const nn::CellScores likelihood = nn::poisson_log_likelihood(prediction, target);
    const double ln2 = std::log(2.0), ln4 = std::log(4.0);
    CHECK(likelihood.values[0] == doctest::Approx((ln2 - 2 + 2 * ln2 - 2 + 3 * ln4 - 4 + 4 * ln4 - 4) / 4));
    CHECK(likelihood.values[1] == doctest::Approx((-2 + 2 * std::log(1e-9) - 2 + 2 * std::log(1e-9)) / 4));
  }
}

TEST_CASE("a constant cell has no correlation; the mean leaves it out and says so") {
  const Device device = Device::cpu();
  const Tensor target = floats({1, 0.1f, 2, 0.1f, 4, 0.1f}, {3, 2}, device);
  const Tensor prediction = floats({1, 3, 2, 5, 4, 6}, {3, 2}, device);
  const nn::CellScores r = nn::pearson(prediction, target);
  CHECK(r.values[0] == doctest::Approx(1.0));
  CHECK(std::isnan(r.values[1]));
  CHECK(r.mean == doctest::Approx(1.0));
  CHECK(r.undefined == 1);
  CHECK(std::isnan(r.standard_error));
  CHECK(std::isnan(nn::pearson(target, prediction).values[1]));
  CHECK(nn::explained_variance(prediction, target).undefined == 1);
  CHECK(nn::explained_variance(target, prediction).undefined == 0);
  CHECK(nn::rmse(prediction, target).undefined == 0);
}

TEST_CASE("a NaN in the data leaves its cell undefined; no defined cell, no mean") {
  const Device device = Device::cpu();
  const Tensor y = floats({1, 2, 4}, {3, 1}, device), p = floats({1, NAN, 4}, {3, 1}, device);
  for (const nn::CellScores& scores :
       {nn::pearson(p, y), nn::explained_variance(p, y), nn::rmse(p, y), nn::poisson_log_likelihood(p, y)}) {
    CHECK(scores.undefined == 1);
    CHECK(std::isnan(scores.mean));
  }
}

TEST_CASE("scores refuse shapes that do not agree") {
  const Device device = Device::cpu();
  const auto zeros = [&](const Shape& shape) { return Tensor::zeros(shape, DType::f32, device); };
  CHECK(message([&] {
          nn::pearson(zeros({3, 2}), zeros({2, 3}));
        }) == "pearson: prediction [3, 2] and target [2, 3] are not both [T, cells] with T of at least 1");
  CHECK(message([&] { nn::rmse(zeros({3}), zeros({3})); }) ==
        "rmse: prediction [3] and target [3] are not both [T, cells] with T of at least 1");
  CHECK(
      message([&] {
        nn::explained_variance(zeros({0, 2}), zeros({0, 2}));
      }) ==
      "explained_variance: prediction [0, 2] and target [0, 2] are not both [T, cells] with T of at least 1");
}
