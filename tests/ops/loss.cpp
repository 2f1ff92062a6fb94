// SPDX-License-Identifier: Apache-2.0
#include "autograd/ops/loss.h"

#include <doctest/doctest.h>

#include <cmath>
#include <limits>

#include "tests/op_case.h"

namespace fovea::test {
namespace {

// Around chains of 8, packs of 4, and slices of 4096 and 8192 elements.
const std::vector<Sample> kSamples{
    {.shapes = {{5, 3}, {5, 3}}}, {.shapes = {{1}, {1}}},
    {.shapes = {{}, {}}},         {.shapes = {{2, 4}, {2, 4}}},
    {.shapes = {{33}, {33}}},     {.shapes = {{4095}, {4095}}},
    {.shapes = {{4096}, {4096}}}, {.shapes = {{4097}, {4097}}},
    {.shapes = {{8191}, {8191}}}, {.shapes = {{2, 4096}, {2, 4096}}},
    {.shapes = {{8193}, {8193}}}, {.shapes = {{5000, 5}, {5000, 5}}, .fast_only = true}};

/// Mean of term over all elements.
template <class Term>
Doubles mean_of(std::span<const Doubles> in, Term term) {
  double sum = 0;
  for (std::size_t i = 0; i < in[0].size(); ++i) sum += term(in[0][i], in[1][i]);
  return {sum / static_cast<double>(in[0].size())};
}

Tensor floats(const std::vector<float>& values, const Device& device) {
  return Tensor::from(values, {static_cast<std::int64_t>(values.size())}, device, "test");
}

template <class Loss>
std::vector<Reject> rejects(const std::string& op, const std::string& operand, Loss loss) {
  const auto filled = [](const Shape& shape, const Device& d, DType dtype = DType::f32) {
    return Tensor::full(shape, 1, dtype, d, "test");
  };
  return {
      {"other shapes",
       [=](const Device& d) {
         loss(filled({2, 3}, d), filled({3, 2}, d));
       },
       op + ": " + operand + " [2, 3] and target [3, 2] must have the same shape"},
      {"wrong dtype", [=](const Device& d) { loss(filled({2}, d, DType::f64), filled({2}, d)); },
       op + ": " + operand + " [2] is f64, expected f32; convert it with to()"},
      {"target of wrong dtype", [=](const Device& d) { loss(filled({2}, d), filled({2}, d, DType::i64)); },
       op + ": target [2] is i64, expected f32; convert it with to()"},
      {"nothing",
       [=](const Device& d) {
         loss(filled({0, 3}, d), filled({0, 3}, d));
       },
       op + ": " + operand + " [0, 3] is empty and has no mean"},
      {"target with a gradient",
       [=](const Device& d) {
         Tape tape;
         loss(filled({2}, d), tape.leaf(filled({2}, d)));
       },
       op + ": target [2] needs a gradient, but is taken as a constant; detach() it"}};
}

}  // namespace

TEST_CASE("poisson_loss") {
  OpCase op{.info = poisson_loss_info,
            .samples = kSamples,
            .apply = [](std::span<const Var> in, const Sample&) { return poisson_loss(in[0], in[1], 1e-3f); },
            .reference =
                [](std::span<const Doubles> in, const Sample&) {
                  const double eps = static_cast<double>(1e-3f);
                  return mean_of(
                      in, [=](double rate, double target) { return rate - target * std::log(rate + eps); });
                },
            .magnitude =
                [](std::span<const Doubles> in, const Sample&) {
                  return mean_of(in, [](double rate, double target) {
                    return rate + target * (1 + std::abs(std::log(rate)));
                  });
                },
            .value = [](int, std::int64_t, double normal) { return 0.3 + std::abs(normal); },
            .gradient_inputs = 0b01};
  op.rejects = rejects("poisson_loss", "rate", [](const Var& x, const Var& t) { poisson_loss(x, t); });
  op.rejects.push_back({"eps 0", [](const Device& d) { poisson_loss(floats({1}, d), floats({1}, d), 0.0f); },
                        "poisson_loss: eps is 0, expected more than 0"});
  check(op);
}

TEST_CASE("mse_loss") {
  OpCase op{.info = mse_loss_info,
            .samples = kSamples,
            .apply = [](std::span<const Var> in, const Sample&) { return mse_loss(in[0], in[1]); },
            .reference =
                [](std::span<const Doubles> in, const Sample&) {
                  return mean_of(in, [](double x, double target) { return (x - target) * (x - target); });
                },
            .gradient_inputs = 0b01};
  op.rejects = rejects("mse_loss", "x", [](const Var& x, const Var& t) { mse_loss(x, t); });
  check(op);
}

TEST_CASE("poisson_loss_at_zero_and_nan") {
  const float nan = std::numeric_limits<float>::quiet_NaN();
  for (const Device& device : devices()) {
    INFO(device.description());
    const auto loss_of = [&](float rate, float target, float eps) {
      return poisson_loss(floats({rate}, device), floats({target}, device), eps).value().item();
    };
    const auto slope_of = [&](float rate, float target, float eps) {
      Tape tape;
      const Var x = tape.leaf(floats({rate}, device));
      tape.backward(poisson_loss(x, floats({target}, device), eps));
      return tape.grad(x).item();
    };
    // No spikes, none expected: nothing to pay. A spike where none was expected costs -log(eps).
    CHECK(loss_of(0, 0, 1e-8f) == 0.0);
    CHECK(slope_of(0, 0, 1e-8f) == 1.0);
    CHECK(loss_of(0, 2, 1e-8f) == doctest::Approx(2 * 18.420681).epsilon(1e-6));
    CHECK(slope_of(0, 2, 1e-8f) == doctest::Approx(1 - 2e8).epsilon(1e-6));
    CHECK(loss_of(0, 1, 0.5f) == doctest::Approx(0.693147).epsilon(1e-5));
    // The least is where rate + eps = target.
    CHECK(slope_of(3, 3.5f, 0.5f) == 0.0);
    for (const double bad : {loss_of(nan, 1, 1e-8f), loss_of(1, nan, 1e-8f), loss_of(-1, 1, 1e-8f),
                             slope_of(nan, 1, 1e-8f), slope_of(1, nan, 1e-8f)})
      CHECK(std::isnan(bad));
  }
}

TEST_CASE("loss_scales_its_gradient") {
  for (const Device& device : devices()) {
    Tape tape;
    const Var x = tape.leaf(floats({3, 5}, device)), y = tape.leaf(floats({2, 4}, device));
    const Tape::Root roots[] = {
        {mse_loss(x, floats({1, 1}, device)), Tensor::full({}, 10, DType::f32, device)},
        {poisson_loss(y, floats({1, 1}, device)), Tensor::full({}, -4, DType::f32, device)}};
    tape.backward(roots);
    CHECK(tape.grad(x).to_vector<float>() == std::vector<float>{20, 40});
    CHECK(tape.grad(y).to_vector<float>() == std::vector<float>{-1, -1.5});
  }
}

}  // namespace fovea::test
