// SPDX-License-Identifier: Apache-2.0
#include "autograd/ops/conv_rnn_simple.h"

#include <doctest/doctest.h>

#include "tests/ops/conv_rnn_reference.h"

namespace fovea::test {
namespace {

const std::vector<Function> kFunctions{Function::identity, Function::relu, Function::sigmoid, Function::tanh,
                                       Function::elu};

/// Inputs x, h, w_x, w_h and b if it is there; params {which function}.
ReferenceMap simple(std::span<const Doubles> in, const Sample& sample) {
  ReferenceMap map(sample.shapes[0], sample.shapes[1][1]);
  map.add(in[0], sample.shapes[0], in[2], sample.shapes[2]);
  map.add(in[1], sample.shapes[1], in[3], sample.shapes[3]);
  if (in.size() > 4) map.add_bias(in[4]);
  map.apply(kFunctions[static_cast<std::size_t>(sample.params[0])]);
  for (double& size : map.magnitude) size += 2;  // a function's own rounding
  return map;
}

Sample sample_of(const Shape& x, std::int64_t d, Size2d kernel_x, Size2d kernel_h, std::int64_t f,
                 bool bias = true, bool fast_only = false) {
  Sample sample{.shapes = {x,
                           {x[0], d, x[2], x[3]},
                           {d, x[1], kernel_x.height, kernel_x.width},
                           {d, d, kernel_h.height, kernel_h.width}},
                .params = {f},
                .dtype = DType::f32,
                .fast_only = fast_only};
  if (bias) sample.shapes.push_back({d});
  return sample;
}

double terms(const Sample& sample) {
  const Shape &a = sample.shapes[2], &b = sample.shapes[3];
  return static_cast<double>(a[1] * a[2] * a[3] + b[1] * b[2] * b[3] + 1);
}

}  // namespace

TEST_CASE("time_decay_step") {
  const auto step = [](const Device& d, const Shape& x, const Shape& state, const Shape& tau) {
    time_decay_step(zeros_of(x, d), zeros_of(state, d), zeros_of(tau, d));
  };
  check({.info = time_decay_step_info,
         .samples = {{{{2, 3, 5, 3}, {2, 3, 5, 3}, {}}},
                     {{{4}, {4}, {1}}},
                     {{{1, 1}, {1, 1}, {1, 1}}},
                     {{{0, 3}, {0, 3}, {1}}},
                     {{{33, 31}, {33, 31}, {}}},
                     {{{70, 10, 24}, {70, 10, 24}, {1}}}},
         .apply = [](std::span<const Var> in, const Sample&) { return time_decay_step(in[0], in[1], in[2]); },
         .reference =
             [](std::span<const Doubles> in, const Sample&) {
               Doubles y(in[0].size());
               for (std::size_t i = 0; i < y.size(); ++i) y[i] = in[2][0] * in[1][i] + in[0][i];
               return y;
             },
         .magnitude =
             [](std::span<const Doubles> in, const Sample&) {
               Doubles y(in[0].size());
               for (std::size_t i = 0; i < y.size(); ++i)
                 y[i] = std::abs(in[2][0] * in[1][i]) + std::abs(in[0][i]);
               return y;
             },
         .rejects = {{"a state of another shape",
                      [=](const Device& d) {
                        step(d, {2, 3}, {3, 2}, {});
                      },
                      "time_decay_step: state [3, 2] must have the shape of x [2, 3]"},
                     {"a number for each channel",
                      [=](const Device& d) {
                        step(d, {2, 3}, {2, 3}, {3});
                      },
                      "time_decay_step: tau [3] must be one number (x [2, 3])"}}});
}

/// Kernels whose taps come in several stages, input channels that do, planes wider than a block's 64 columns
/// and higher than its rows, many small images in a block.
TEST_CASE("conv_simple_step") {
  const auto step = [](const Device& d, const Shape& w_x, const Shape& w_h, Function f) {
    conv_simple_step(zeros_of({2, 3, 5, 4}, d), zeros_of({2, 2, 5, 4}, d), zeros_of(w_x, d), zeros_of(w_h, d),
                     Var(), f);
  };
  check(
      {.info = conv_simple_step_info,
       .samples = {sample_of({1, 2, 2, 3}, 2, 3, 3, 4), sample_of({1, 1, 1, 1}, 1, 1, 1, 0, false),
                   sample_of({0, 2, 3, 3}, 2, 3, 3, 4), sample_of({2, 3, 7, 7}, 9, 3, 1, 4),
                   sample_of({2, 3, 5, 3}, 2, 2, 4, 3), sample_of({2, 2, 5, 3}, 8, {3, 2}, {1, 4}, 2),
                   sample_of({1, 1, 3, 3}, 1, 45, 1, 4), sample_of({1, 90, 5, 3}, 2, 3, 3, 1),
                   sample_of({1, 1, 9, 70}, 1, 3, 3, 4, false), sample_of({1, 1, 70, 33}, 2, 3, 2, 3),
                   sample_of({67, 1, 2, 2}, 64, 1, 1, 4), sample_of({5, 9, 14, 14}, 9, 3, 3, 4, true, true)},
       .apply =
           [](std::span<const Var> in, const Sample& sample) {
             return conv_simple_step(in[0], in[1], in[2], in[3], in.size() > 4 ? in[4] : Var(),
                                     kFunctions[static_cast<std::size_t>(sample.params[0])]);
           },
       .reference = [](std::span<const Doubles> in, const Sample& sample) { return simple(in, sample).y; },
       .magnitude = [](std::span<const Doubles> in,
                       const Sample& sample) { return simple(in, sample).magnitude; },
       .terms = terms,
       .value = [](int input, std::int64_t, double normal) { return input < 2 ? normal : 0.3 * normal; },
       .rejects = {{"a kernel of x for other channels",
                    [=](const Device& d) {
                      step(d, {2, 2, 3, 3}, {2, 2, 3, 3}, Function::elu);
                    },
                    "conv_simple_step: w_x is [2, 2, 3, 3], expected [2, 3, R, S] (x [2, 3, 5, 4])"},
                   {"a kernel of h without rows",
                    [=](const Device& d) {
                      step(d, {2, 3, 3, 3}, {2, 2, 0, 3}, Function::elu);
                    },
                    "conv_simple_step: w_h is [2, 2, 0, 3], expected [2, 2, R, S] (x [2, 3, 5, 4])"},
                   {"a function whose slope needs its operand",
                    [=](const Device& d) {
                      step(d, {2, 3, 3, 3}, {2, 2, 3, 3}, Function::abs);
                    },
                    "conv_simple_step: f is abs, expected identity, relu, sigmoid, tanh or elu"}}});
}

}  // namespace fovea::test
