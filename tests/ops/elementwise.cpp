// SPDX-License-Identifier: Apache-2.0
#include "autograd/ops/elementwise.h"

#include <doctest/doctest.h>

#include <cmath>
#include <limits>

#include "tests/op_case.h"
#include "tests/ops/broadcast.h"

namespace fovea::test {
namespace {

using Combine = double (*)(double, double);
using Apply = Var (*)(const Var&, const Var&);

Doubles combine(std::span<const Doubles> in, const Sample& sample, Combine f) {
  const Shape shape = broadcast("reference", sample.shapes[0], sample.shapes[1]);
  Doubles y(static_cast<std::size_t>(shape.numel()));
  for (std::size_t i = 0; i < y.size(); ++i) {
    const auto index = static_cast<std::int64_t>(i);
    y[i] = f(in[0][broadcast_source(sample.shapes[0], shape, index)],
             in[1][broadcast_source(sample.shapes[1], shape, index)]);
  }
  return y;
}

Tensor ones(const Shape& shape, DType dtype, const Device& device) {
  return Tensor::full(shape, 1.0, dtype, device);
}

OpCase binary_case(OpInfo info, Apply apply, Combine reference, Combine magnitude) {
  const std::string op(info.name);
  return {
      .info = info,
      .samples = {{{{3, 5}, {3, 5}}},
                  {{{}, {}}},
                  {{{1}, {1}}},
                  {{{0}, {0}}},
                  {{{2, 0, 3}, {3}}},
                  {{{17}, {17}}, {}, DType::f64},
                  {{{7}, {}}},
                  {{{}, {2, 3}}},
                  {{{4}, {1}}},
                  {{{2, 3, 4}, {3, 1}}},
                  {{{2, 1, 4}, {3, 1}}},
                  {{{3, 1}, {1, 4}}},
                  {{{2, 3, 1, 2}, {5, 1}}, {}, DType::f64},
                  {{{63}, {63}}},
                  {{{64}, {64}}},
                  {{{65}, {65}}},
                  {{{3, 257}, {257}}},
                  {{{16383}, {16383}}, {}, DType::f32, true},
                  {{{16384}, {1}}, {}, DType::f32, true},
                  {{{1}, {16385}}, {}, DType::f32, true},
                  {{{4, 8, 33, 31}, {8, 1, 1}}, {}, DType::f32, true}},
      .apply = [apply](std::span<const Var> in, const Sample&) { return apply(in[0], in[1]); },
      .reference = [reference](std::span<const Doubles> in,
                               const Sample& sample) { return combine(in, sample, reference); },
      .magnitude = [magnitude](std::span<const Doubles> in,
                               const Sample& sample) { return combine(in, sample, magnitude); },
      .value = [](int, std::int64_t, double n) { return n + std::copysign(0.5, n); },  // a divisor is not 0
      .rejects = {{"shapes that do not broadcast",
                   [apply](const Device& d) {
                     apply(ones({2, 3}, DType::f32, d), ones({4}, DType::f32, d));
                   },
                   op + ": cannot broadcast [2, 3] with [4]: extents 3 and 4 differ and neither is 1"},
                  {"integers",
                   [apply](const Device& d) { apply(ones({2}, DType::i32, d), ones({2}, DType::i32, d)); },
                   op + ": a [2] is i32, expected f32 or f64; convert it with to()"},
                  {"two types",
                   [apply](const Device& d) { apply(ones({2}, DType::f32, d), ones({3}, DType::f64, d)); },
                   op + ": a [2] is f32, b [3] is f64; convert one of them with to()"},
                  {"two devices",
                   [apply](const Device&) {
                     apply(ones({2}, DType::f32, Device::cpu()), ones({3}, DType::f32, Device::simt()));
                   },
                   op + ": [2] is on cpu and [3] on simt; move one with to()"}},
  };
}

double magnitude_of_sum(double a, double b) { return std::abs(a) + std::abs(b); }

TEST_CASE("add") {
  check(binary_case(
      add_info, add, [](double a, double b) { return a + b; }, magnitude_of_sum));
}
TEST_CASE("subtract") {
  check(binary_case(
      subtract_info, subtract, [](double a, double b) { return a - b; }, magnitude_of_sum));
}
TEST_CASE("multiply") {
  const Combine product = [](double a, double b) { return a * b; };
  check(binary_case(multiply_info, multiply, product, product));
}
TEST_CASE("divide") {
  const Combine quotient = [](double a, double b) { return a / b; };
  check(binary_case(divide_info, divide, quotient, quotient));
}

TEST_CASE("affine") {
  check({
      .info = affine_info,
      .samples = {{{{3, 5}}},
                  {{{}}},
                  {{{1}}},
                  {{{0}}},
                  {{{65}}},
                  {{{33}}, {}, DType::f64},
                  {{{16385}}, {}, DType::f32, true}},
      .apply = [](std::span<const Var> in, const Sample&) { return affine(in[0], -1.75, 0.3125); },
      .reference =
          [](std::span<const Doubles> in, const Sample&) {
            Doubles y = in[0];
            for (double& v : y) v = -1.75 * v + 0.3125;
            return y;
          },
      .magnitude =
          [](std::span<const Doubles> in, const Sample&) {
            Doubles y = in[0];
            for (double& v : y) v = 1.75 * std::abs(v) + 0.3125;
            return y;
          },
      .rejects = {{"integers", [](const Device& d) { affine(ones({2}, DType::u8, d), 1, 0); },
                   "affine: x [2] is u8, expected f32 or f64; convert it with to()"}},
  });
}

/// ulps  exp, log, tanh and log1p of the C and CUDA libraries are right within 2 units in the last place,
///       which is 4u each; softplus and sigmoid add two or three roundings of their own
OpCase unary_case(OpInfo info, Function f, double (*reference)(double), double (*value)(double) = nullptr) {
  const std::string op(info.name);
  return {
      .info = info,
      .samples = {{{{3, 5}}},
                  {{{}}},
                  {{{1}}},
                  {{{0}}},
                  {{{2, 0}}},
                  {{{7}}},
                  {{{64}}},
                  {{{65}}},
                  {{{1025}}},
                  {{{33}}, {}, DType::f64},
                  {{{16383}}, {}, DType::f32, true},
                  {{{16385}}, {}, DType::f32, true}},
      .apply = [f](std::span<const Var> in, const Sample&) { return apply(f, in[0]); },
      .reference =
          [reference](std::span<const Doubles> in, const Sample&) {
            Doubles y = in[0];
            for (double& v : y) v = reference(v);
            return y;
          },
      .value = [value](int, std::int64_t, double n) { return value != nullptr ? value(n) : n; },
      .rejects = {{"integers",
                   [f](const Device& d) {
                     apply(f, ones({4, 2}, DType::i64, d));
                   },
                   op + ": x [4, 2] is i64, expected f32 or f64; convert it with to()"}},
      .ulps = 8,
  };
}

double away_from_zero(double n) { return n + std::copysign(0.1, n); }
double positive(double n) { return std::abs(n) + 0.1; }
double within_two(double n) { return 0.5 * n; }

TEST_CASE("relu") {
  check(unary_case(
      relu_info, Function::relu, [](double x) { return std::max(x, 0.0); }, away_from_zero));
}
TEST_CASE("softplus") {
  check(unary_case(softplus_info, Function::softplus, [](double x) { return std::log1p(std::exp(x)); }));
}
TEST_CASE("sigmoid") {
  check(unary_case(
      sigmoid_info, Function::sigmoid, [](double x) { return 1 / (1 + std::exp(-x)); }, within_two));
}
TEST_CASE("tanh") {
  check(unary_case(
      tanh_info, Function::tanh, [](double x) { return std::tanh(x); }, within_two));
}
TEST_CASE("elu") {
  check(unary_case(elu_info, Function::elu, [](double x) { return x > 0 ? x : std::expm1(x); }));
}
TEST_CASE("exp") {
  check(unary_case(exp_info, Function::exp, [](double x) { return std::exp(x); }));
}
TEST_CASE("log") {
  check(unary_case(
      log_info, Function::log, [](double x) { return std::log(x); }, positive));
}
TEST_CASE("sqrt") {
  check(unary_case(
      sqrt_info, Function::sqrt, [](double x) { return std::sqrt(x); }, positive));
}
TEST_CASE("square") {
  check(unary_case(square_info, Function::square, [](double x) { return x * x; }));
}
TEST_CASE("abs") {
  check(unary_case(
      abs_info, Function::abs, [](double x) { return std::abs(x); }, away_from_zero));
}
TEST_CASE("negate") {
  check(unary_case(negate_info, Function::negate, [](double x) { return -x; }));
}

struct AtPoint {
  double value, slope;
};
AtPoint at(Function f, float x, const Device& device) {
  Tape tape;
  const Var leaf = tape.leaf(Tensor::full({}, static_cast<double>(x), DType::f32, device));
  const Var y = apply(f, leaf);
  tape.backward(y);
  return {y.value().item(), tape.grad(leaf).item()};
}

/// Vector forms end where results stop being normal numbers; what lies beyond must not change its neighbours' bits.
TEST_CASE("a function gives an element the bits that it has alone") {
  const float infinity = std::numeric_limits<float>::infinity();
  const std::vector<float> x{-0.5f,    200.0f, 3.0f,      -95.0f, 0.25f,
                             infinity, -2.0f,  -infinity, 88.5f,  -0.0f,
                             7.0f,     -1e-8f, -104.0f,   1e-30f, 87.0f,
                             -87.0f,   1.0f,   87.5f,     0.1f,   std::numeric_limits<float>::quiet_NaN(),
                             -3.0f};
  for (const Device& device : devices())
    for (const Function f :
         {Function::exp, Function::softplus, Function::sigmoid, Function::tanh, Function::elu}) {
      CAPTURE(device.description());
      CAPTURE(function_name(f));
      const auto n = static_cast<std::int64_t>(x.size());
      const auto together = apply(f, Var(Tensor::from(x, {n}, device))).value().to_vector<float>();
      for (std::size_t i = 0; i < x.size(); ++i) {
        CAPTURE(x[i]);
        const float alone =
            apply(f, Var(Tensor::from(std::vector<float>{x[i]}, {1}, device))).value().to_vector<float>()[0];
        CHECK((alone == together[i] || (std::isnan(alone) && std::isnan(together[i]))));
        if (std::isnan(x[i])) CHECK(std::isnan(alone));
      }
    }
}

/// Values and slopes where functions have kinks or overflow.
TEST_CASE("functions_at_extremes") {
  const float nan = std::numeric_limits<float>::quiet_NaN();
  for (const Device& device : devices()) {
    CAPTURE(device.description());
    CHECK(at(Function::relu, 0.0f, device).slope == 0.0);
    CHECK(at(Function::abs, 0.0f, device).slope == 0.0);
    CHECK(std::isnan(at(Function::relu, nan, device).value));
    CHECK(at(Function::softplus, 200.0f, device).value == 200.0);
    CHECK(at(Function::softplus, 200.0f, device).slope == 1.0);
    CHECK(at(Function::softplus, -80.0f, device).value == doctest::Approx(1.8048513e-35).epsilon(1e-5));
    CHECK(at(Function::softplus, -80.0f, device).slope == doctest::Approx(1.8048513e-35).epsilon(1e-5));
    CHECK(at(Function::sigmoid, 200.0f, device).value == 1.0);
    CHECK(at(Function::sigmoid, -200.0f, device).value == 0.0);
    CHECK(at(Function::sigmoid, -200.0f, device).slope == 0.0);
    CHECK(at(Function::tanh, 50.0f, device).value == 1.0);
    CHECK(at(Function::exp, -200.0f, device).value == 0.0);
    CHECK(at(Function::elu, 0.0f, device).slope == 1.0);
    CHECK(at(Function::elu, -200.0f, device).value == -1.0);
    CHECK(at(Function::elu, -200.0f, device).slope == 0.0);
    CHECK(at(Function::elu, 200.0f, device).value == 200.0);
    CHECK(std::isnan(at(Function::elu, nan, device).value));
  }
}

TEST_CASE("operators") {
  for (const Device& device : devices()) {
    const Var a = Tensor::full({2}, 6.0, DType::f32, device), b = Tensor::full({2}, 2.0, DType::f32, device);
    const auto first = [](const Var& v) { return v.value().to_vector<float>()[0]; };
    CHECK(first(a + b) == 8.0f);
    CHECK(first(a - b) == 4.0f);
    CHECK(first(a * b) == 12.0f);
    CHECK(first(a / b) == 3.0f);
    CHECK(first(-a) == -6.0f);
    CHECK(first(a + 1.0) == 7.0f);
    CHECK(first(1.0 - a) == -5.0f);
    CHECK(first(a - 1.0) == 5.0f);
    CHECK(first(0.5 * a) == 3.0f);
    CHECK(first(a / 4.0) == 1.5f);
  }
}

/// The two gradients of x∘x are added; the two of a broadcast operand as well.
TEST_CASE("operand_used_twice") {
  for (const Device& device : devices()) {
    Tape tape;
    const Var x = tape.leaf(Tensor::full({3}, 5.0, DType::f32, device));
    tape.backward(sum(multiply(x, x) + x));
    for (const float slope : tape.grad(x).to_vector<float>()) CHECK(slope == 11.0f);
  }
}

}  // namespace
}  // namespace fovea::test
