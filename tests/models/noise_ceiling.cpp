// SPDX-License-Identifier: Apache-2.0
#include "models/retina/noise_ceiling.h"

#include <doctest/doctest.h>

#include <cmath>

#include "models/retina/recording_file.h"
#include "models/retina/reliability.h"
#include "models/retina/scores.h"
#include "tensor/views.h"
#include "tests/host.h"
#include "tests/nn/expect.h"
#include "tests/temporary_folder.h"

using namespace fovea;
using namespace fovea::retina;
using namespace fovea::test;

TEST_CASE("noise ceilings of two trials, by hand") {
  // Trials (1 0 0 1) and (1 0 1 0) have mean ½ and variance ¼, their covariance is 0.
  const std::vector<float> none{1, 0, 0, 1, 1, 0, 1, 0};
  CHECK(leave_one_out({none, 2}) == doctest::Approx(0));
  CHECK(std::isnan(ceiling_of({none, 2})));
  CHECK(signal_power({none, 2}).signal == doctest::Approx(0));

  // (0 2 0 2) and (0 2 2 4): means 1 and 2, variances 1 and 2, covariance 1, so ρ_1 = 1/√2, and
  // SP = (Var(0 4 2 6) − 1 − 2)/2 = (5 − 3)/2 = 1 against Var(r̄) = 5/4.
  const std::vector<float> some{0, 2, 0, 2, 0, 2, 2, 4};
  const Repeats repeats{some, 2};
  const double rho = 1 / std::sqrt(2.0);
  CHECK(repeats.mean() == std::vector<float>{0, 2, 1, 3});
  CHECK(leave_one_out(repeats) == doctest::Approx(rho));
  CHECK(split_half_reliability(repeats) == doctest::Approx(2 * rho / (1 + rho)));
  CHECK(ceiling_of(repeats) == doctest::Approx(std::sqrt(2 * rho / (1 + rho))));
  CHECK(signal_power(repeats).signal == doctest::Approx(1));
  CHECK(signal_power(repeats).cc_max == doctest::Approx(std::sqrt(0.8)));

  // ŷ = (0 1 0 1): variance ¼, covariance with (0 2 1 3) ½.
  const std::vector<float> y{0, 1, 0, 1};
  CHECK(cc_norm(y, repeats) == doctest::Approx(0.5 / std::sqrt(0.25)));
  // σ² = (0 + 0 + 2 + 2)/4 = 1; MSE = (0 1 0 1 | 0 1 4 9)/8 = 2; mean 1.5, Var = (4·0.5 … )/8 = 32/8 − 2.25.
  CHECK(explainable_variance_explained(y, repeats) == doctest::Approx(1 - (2.0 - 1) / (1.75 - 1)));
}

TEST_CASE("a model that is the mean of very many trials reaches the ceilings, and constants have none") {
  std::vector<float> flat(8, 1.0f), same{0, 1, 0, 3, 0, 1, 0, 3};
  const std::vector<float> y{0, 1, 0, 3}, steady(4, 1.0f);
  CHECK(ceiling_of({same, 2}) == doctest::Approx(1));
  CHECK(cc_norm(y, {same, 2}) == doctest::Approx(1));
  CHECK(explainable_variance_explained(y, {same, 2}) == doctest::Approx(1));
  CHECK(std::isnan(cc_norm(steady, {same, 2})));
  for (const Repeats& unknown : {Repeats{flat, 2}, Repeats{same, 1}, Repeats{{}, 0}, Repeats{same, 8}}) {
    CHECK(std::isnan(ceiling_of(unknown)));
    CHECK_FALSE(signal_power(unknown).cc_max > 0);
  }
  for (const Repeats& unknown : {Repeats{flat, 8}, Repeats{same, 8}})
    CHECK(std::isnan(explainable_variance_explained(std::vector<float>{1}, unknown)));
}

TEST_CASE(
    "halves of odd numbers, all halves and drawn ones give the reliability that the noise was made with") {
  // Signal and noise of variance 1 each: ρ_1 = ½, ρ_N = N/(N + 1).
  constexpr std::int64_t kBins = 20000;
  const Tensor signal = Tensor::normal({kBins}, {4, philox::stream_id("signal"), 0, nullptr}, 0, 1, host());
  for (const std::int64_t trials : {2, 3, 5, 6, 12}) {
    CAPTURE(trials);
    const Tensor noise =
        Tensor::normal({trials, kBins}, {4, philox::stream_id("noise"), 0, nullptr}, 0, 1, host());
    const auto s = signal.to_vector<float>();
    auto r = noise.to_vector<float>();
    for (std::size_t i = 0; i < r.size(); ++i) r[i] += s[i % kBins];
    const Repeats repeats{r, trials};
    const double expected = static_cast<double>(trials) / static_cast<double>(trials + 1);
    CHECK(std::abs(split_half_reliability(repeats) - expected) < 0.01);
    CHECK(split_half_reliability(repeats) == split_half_reliability(repeats));
    CHECK(std::abs(ceiling_of(repeats) - correlation(s, repeats.mean())) < 0.01);
    CHECK(std::abs(signal_power(repeats).cc_max - ceiling_of(repeats)) < 0.01);
    CHECK(std::abs(signal_power(repeats).signal - 1) < 0.03);
    CHECK(std::abs(cc_norm(s, repeats) - 1) < 0.02);
    CHECK(std::abs(explainable_variance_explained(s, repeats) - 1) < 0.02);
    CHECK(leave_one_out(repeats) < ceiling_of(repeats));
  }
}

TEST_CASE("on the simulated retina, the ceiling from the repeats is the exact one within 0.03") {
  RecordingData data = recording_data(
      simulate_recording({.stimulus = Stimulus::kDeadLeaves, .minutes = 0.1, .calibration_seconds = 30}),
      host());
  const std::vector<double> exact = noise_ceilings(data, kAdaptationFrames);
  data.test_true_rate = Tensor();
  const std::vector<double> estimated = noise_ceilings(data, kAdaptationFrames);
  for (std::size_t cell = 0; cell < exact.size(); ++cell) {
    CAPTURE(cell);
    CAPTURE(exact[cell]);
    CHECK(std::abs(estimated[cell] - exact[cell]) < 0.03);
  }
}

TEST_CASE("scores know the repeatable part where there are repeats") {
  const std::vector<float> some{0, 2, 0, 2, 0, 2, 2, 4};
  const Tensor repeats = Tensor::from(some, {2, 1, 4}, host());
  const Tensor rate = Tensor::from(std::vector<float>{0, 1, 0, 1}, {4, 1}, host());
  const Tensor target = Tensor::from(std::vector<float>{0, 2, 1, 3}, {4, 1}, host());
  const Scores scores = score(rate, target, repeats);
  CHECK(scores.cc_norm.mean == doctest::Approx(1));
  CHECK(scores.feve.mean == doctest::Approx(1 - 1 / 0.75));
  CHECK(score(rate, target).cc_norm.undefined == 1);
  CHECK(std::isnan(score(rate, target).feve.mean));
  CHECK(text_of<ShapeError>([&] { score(rate, target, target); }) ==
        "score: repeats [4, 1] are not [repeats, cells, T] for rate [4, 1]");
}

TEST_CASE("the change of rates is a share of their mean") {
  const Device host = Device::cpu({.threads = 1});
  const Tensor rate = Tensor::from(std::vector<float>{1, 2, 3, 4}, {2, 2}, host),
               changed = Tensor::from(std::vector<float>{2, 2, 3, 2}, {2, 2}, host);
  CHECK(mean_change(changed, rate) == doctest::Approx(0.3));
  CHECK_THROWS_WITH_AS(mean_change(changed, Tensor::zeros({2, 1}, DType::f32, host)),
                       "mean_change: rates [2, 2] and [2, 1] differ in shape", ShapeError);
}
