// SPDX-License-Identifier: Apache-2.0
#include "autograd/ops/bias_activation.h"

#include <doctest/doctest.h>

#include <cmath>

#include "tests/op_case.h"

namespace fovea::test {
namespace {

std::int64_t channel(const Sample& sample, std::size_t i) {
  const Shape& x = sample.shapes[0];
  std::int64_t inner = 1;
  for (int d = 2; d < x.rank(); ++d) inner *= x[d];
  return static_cast<std::int64_t>(i) / inner % x[1];
}

double value(Function f, double x) {
  switch (f) {
    case Function::relu:
      return std::max(x, 0.0);
    case Function::softplus:
      return std::log1p(std::exp(x));
    case Function::sigmoid:
      return 1 / (1 + std::exp(-x));
    case Function::tanh:
      return std::tanh(x);
    case Function::exp:
      return std::exp(x);
    case Function::elu:
      return x > 0 ? x : std::expm1(x);
    default:
      return x;
  }
}

constexpr std::int64_t kIdentity = static_cast<std::int64_t>(Function::identity);
constexpr std::int64_t kRelu = static_cast<std::int64_t>(Function::relu);
constexpr std::int64_t kSoftplus = static_cast<std::int64_t>(Function::softplus);
constexpr std::int64_t kSigmoid = static_cast<std::int64_t>(Function::sigmoid);
constexpr std::int64_t kTanh = static_cast<std::int64_t>(Function::tanh);
constexpr std::int64_t kExp = static_cast<std::int64_t>(Function::exp);
constexpr std::int64_t kElu = static_cast<std::int64_t>(Function::elu);

/// x is 0, ±1, ±2, … plus a little, biases are within ±0.2: x + bias stays away from relu's kink.
double staggered(int input, std::int64_t index, double n) {
  const double small = 0.2 * std::tanh(n);
  return input == 1 ? small : static_cast<double>(index * 7 % 5 - 2) + 0.5 + 0.5 * small;
}

Tensor zeros(const Shape& shape, const Device& device, DType dtype = DType::f32) {
  return Tensor::zeros(shape, dtype, device);
}

/// ulps  the function's argument is a rounded sum, at most 3 in magnitude: 3u more for exp; see unary_case in
///       elementwise.cpp for the functions themselves
TEST_CASE("bias_activation") {
  check({
      .info = bias_activation_info,
      .samples = {{{{2, 3, 2, 2}, {3}}, {kRelu}},
                  {{{2, 3}, {3}}, {kIdentity}},
                  {{{2, 3}, {3}}, {kSoftplus}},
                  {{{2, 3, 5}, {3}}, {kSigmoid}},
                  {{{2, 3, 5}, {3}}, {kTanh}},
                  {{{3, 4}, {4}}, {kExp}},
                  {{{3, 4}, {4}}, {kElu}},
                  {{{1, 1}, {1}}, {kRelu}},
                  {{{0, 3}, {3}}, {kRelu}},
                  {{{2, 3, 0}, {3}}, {kRelu}},
                  {{{5, 63}, {63}}, {kRelu}},
                  {{{5, 64}, {64}}, {kRelu}},
                  {{{3, 2, 8, 8}, {2}}, {kRelu}},
                  {{{2, 2, 11, 11}, {2}}, {kIdentity}},
                  {{{1, 3, 17, 16}, {3}}, {kRelu}},
                  {{{40, 1025}, {1025}}, {kRelu}, DType::f32, true},
                  {{{9, 8, 36, 36}, {8}}, {kRelu}, DType::f32, true},
                  {{{3, 2, 127, 129}, {2}}, {kSoftplus}, DType::f32, true}},
      .apply =
          [](std::span<const Var> in, const Sample& sample) {
            return bias_activation(in[0], in[1], static_cast<Function>(sample.params[0]));
          },
      .reference =
          [](std::span<const Doubles> in, const Sample& sample) {
            Doubles y(in[0].size());
            for (std::size_t i = 0; i < y.size(); ++i)
              y[i] = value(static_cast<Function>(sample.params[0]),
                           in[0][i] + in[1][static_cast<std::size_t>(channel(sample, i))]);
            return y;
          },
      .value = staggered,
      .rejects =
          {{"too few dimensions",
            [](const Device& d) { bias_activation(zeros({3}, d), zeros({3}, d), Function::relu); },
            "bias_activation: x [3] has rank 1, expected [N, C, ...]"},
           {"another number of channels",
            [](const Device& d) {
              bias_activation(zeros({2, 3, 4}, d), zeros({4}, d), Function::relu);
            },
            "bias_activation: x [2, 3, 4] has 3 channels, bias is [4], expected [3]"},
           {"a function whose slope needs x",
            [](const Device& d) {
              bias_activation(zeros({2, 3}, d), zeros({3}, d), Function::square);
            },
            "bias_activation: square is not one of identity, relu, softplus, sigmoid, tanh, exp, elu"},
           {"f64",
            [](const Device& d) {
              bias_activation(zeros({2, 3}, d, DType::f64), zeros({3}, d, DType::f64), Function::relu);
            },
            "bias_activation: x [2, 3] is f64, expected f32; convert it with to()"},
           {"two devices",
            [](const Device&) {
              bias_activation(zeros({2, 3}, Device::cpu()), zeros({3}, Device::simt()), Function::relu);
            },
            "bias_activation: [2, 3] is on cpu and [3] on simt; move one with to()"}},
      .ulps = 12,
  });
}

}  // namespace
}  // namespace fovea::test
