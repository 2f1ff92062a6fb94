// SPDX-License-Identifier: Apache-2.0
#include "autograd/grad_check.h"

#include <doctest/doctest.h>

#include <cmath>
#include <limits>

#include "autograd/ops/elementwise.h"
#include "tests/host.h"
#include "tests/nn/expect.h"

using namespace fovea;
using namespace fovea::test;

namespace {

Tensor doubles(const std::vector<double>& values) {
  return Tensor::from(values, {static_cast<std::int64_t>(values.size())}, host());
}

/// Σ x²·y, whose slope for `input` is multiplied by `factor`.
Var cubic(std::span<const Var> v, int input = 0, double factor = 1) {
  static constexpr OpInfo kCubic{.name = "cubic"};
  const Tensor value = sum(square(v[0].value()) * v[1].value()).value();
  const auto backward = [=](const Tensor& dy, Needs, Kept kept) -> Grads {
    const Tensor &x = kept[0], &y = kept[1];
    const auto by = [&](int k) { return k == input ? factor : 1.0; };
    return {multiply(affine(multiply(x, y), 2 * by(0), 0), dy).value(),
            multiply(affine(square(x), by(1), 0), dy).value()};
  };
  return record(kCubic, value, {v[0], v[1]}, {v[0].value(), v[1].value()}, backward);
}

constexpr double kTolerance = 1e-6;

}  // namespace

TEST_CASE("grad_check accepts a right gradient") {
  const Tensor inputs[] = {doubles({0.5, -1.5, 2}), doubles({1, 2, -0.25})};
  const GradCheck by_hand = grad_check([](auto v) { return cubic(v); }, inputs);
  CHECK_MESSAGE(by_hand.ok(kTolerance), by_hand.worst << " at " << by_hand.where);
  const GradCheck of_ops = grad_check([](auto v) { return sum(exp(v[0]) * sigmoid(v[1])); }, inputs);
  CHECK_MESSAGE(of_ops.ok(kTolerance), of_ops.worst << " at " << of_ops.where);
}

TEST_CASE("grad_check rejects a gradient that is one per cent off, and says of which input") {
  const Tensor inputs[] = {doubles({0.5, -1.5, 2}), doubles({1, 2, -0.25})};
  for (const int input : {0, 1}) {
    const GradCheck result = grad_check([&](auto v) { return cubic(v, input, 1.01); }, inputs);
    CHECK_FALSE(result.ok(kTolerance));
    CHECK(result.worst == doctest::Approx(0.01 / 2.01).epsilon(1e-3));
    CHECK(result.where.starts_with("input " + std::to_string(input)));
  }
}

TEST_CASE("grad_check rejects a gradient that is missing") {
  const Tensor inputs[] = {doubles({0.5, -1.5})};
  const GradCheck result = grad_check([](auto v) { return sum(square(v[0]) + detach(exp(v[0]))); }, inputs);
  CHECK_FALSE(result.ok(kTolerance));
}

TEST_CASE("grad_check does not forget a NaN") {
  const Tensor inputs[] = {doubles({0.5}), doubles({1.5})};
  const auto first_is_nan = [](std::span<const Var> v) {
    const Var y = sum(square(v[0]) + square(v[1]));
    static constexpr OpInfo kNan{.name = "nan"};
    return record(kNan, y.value(), {v[0], v[1]}, {v[0].value(), v[1].value()},
                  [](const Tensor&, Needs, Kept kept) -> Grads {
                    return {Tensor::full(kept[0].shape(), std::nan(""), DType::f64, host()),
                            affine(kept[1], 2, 0).value()};
                  });
  };
  const GradCheck result = grad_check(first_is_nan, inputs);
  CHECK_FALSE(result.ok(kTolerance));
  CHECK(result.where == "input 0, direction 0");
}

TEST_CASE("grad_check wants a single number") {
  const Tensor inputs[] = {doubles({0.5, -1.5})};
  CHECK(message([&] { grad_check([](auto v) { return square(v[0]); }, inputs); }) ==
        "grad_check: f gave [2], expected a single element");
}
