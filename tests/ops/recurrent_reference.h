// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <doctest/doctest.h>

#include <algorithm>
#include <cmath>

#include "tests/op_case.h"

/// LSTM and GRU as plain loops, for their rows. A sample's inputs are x, w_input, w_hidden, then the biases, then the
/// initial state; its params say what is there: {reverse, has biases, has a state, then the lengths or nothing}.
namespace fovea::test {

/// A number with a bound of its error, in units of u: each product and function adds a rounding, and passes on what
/// it is given.
struct Bounded {
  double value = 0, error = 0;
  Bounded() = default;
  Bounded(double v) : value(v) {}  // NOLINT: inputs convert
  Bounded(double v, double e) : value(v), error(e) {}
};
inline Bounded operator+(Bounded a, Bounded b) { return {a.value + b.value, a.error + b.error}; }
inline Bounded operator-(Bounded a, Bounded b) { return {a.value - b.value, a.error + b.error}; }
inline Bounded operator*(Bounded a, Bounded b) {
  return {a.value * b.value,
          std::abs(a.value) * b.error + std::abs(b.value) * a.error + std::abs(a.value * b.value)};
}
inline double logistic(double x) { return 1 / (1 + std::exp(-x)); }
inline double hyperbolic(double x) { return std::tanh(x); }
inline Bounded logistic(Bounded x) {
  const double y = logistic(x.value);
  return {y, y * (1 - y) * x.error + y};
}
inline Bounded hyperbolic(Bounded x) {
  const double y = std::tanh(x.value);
  return {y, (1 - y * y) * x.error + std::abs(y)};
}
inline double reported(double x) { return x; }
inline double reported(Bounded x) { return x.error; }

inline bool has_biases(const Sample& s) { return s.params[1] != 0; }
inline bool has_state(const Sample& s) { return s.params[2] != 0; }
inline Tensor lengths_of(const Sample& s, const Device& device) {
  if (s.params.size() == 3) return {};
  return constant(std::vector<std::int64_t>(s.params.begin() + 3, s.params.end()), {s.shapes[0][1]}, device);
}

/// y, h_last and, of an LSTM, c_last, one after the other. T is double, or Bounded for the errors.
template <class T>
Doubles recurrent(std::span<const Doubles> in, const Sample& s, std::size_t gates) {
  const auto steps = static_cast<std::size_t>(s.shapes[0][0]),
             batch = static_cast<std::size_t>(s.shapes[0][1]),
             inputs = static_cast<std::size_t>(s.shapes[0][2]),
             hidden = static_cast<std::size_t>(s.shapes[2][1]);
  const std::size_t state = has_biases(s) ? 5 : 3;
  std::vector<T> y(steps * batch * hidden, T(0.0)), h(batch * hidden, T(0.0)), c(batch * hidden, T(0.0));
  if (has_state(s)) std::copy(in[state].begin(), in[state].end(), h.begin());
  if (has_state(s) && gates == 4) std::copy(in[state + 1].begin(), in[state + 1].end(), c.begin());
  for (std::size_t b = 0; b < batch; ++b) {
    const std::size_t length =
        s.params.size() == 3
            ? steps
            : static_cast<std::size_t>(std::clamp<std::int64_t>(s.params[3 + b], 0, s.shapes[0][0]));
    T* const now = h.data() + b * hidden;
    T* const cell = c.data() + b * hidden;
    for (std::size_t i = 0; i < length; ++i) {
      const std::size_t t = s.params[0] != 0 ? length - 1 - i : i;
      std::vector<T> from_x(gates * hidden, T(0.0)), from_h(gates * hidden, T(0.0));
      for (std::size_t g = 0; g < gates * hidden; ++g) {
        for (std::size_t k = 0; k < inputs; ++k)
          from_x[g] = from_x[g] + T(in[1][g * inputs + k]) * T(in[0][(t * batch + b) * inputs + k]);
        for (std::size_t k = 0; k < hidden; ++k) from_h[g] = from_h[g] + T(in[2][g * hidden + k]) * now[k];
        if (has_biases(s)) from_x[g] = from_x[g] + T(in[3][g]) * T(1.0);
        if (has_biases(s)) from_h[g] = from_h[g] + T(in[4][g]) * T(1.0);
      }
      for (std::size_t u = 0; u < hidden; ++u) {
        const auto gate = [&](std::size_t g) { return from_x[g * hidden + u] + from_h[g * hidden + u]; };
        if (gates == 4) {
          cell[u] = logistic(gate(1)) * cell[u] + logistic(gate(0)) * hyperbolic(gate(2));
          now[u] = logistic(gate(3)) * hyperbolic(cell[u]);
        } else {
          const T r = logistic(gate(0)), z = logistic(gate(1));
          const T n = hyperbolic(from_x[2 * hidden + u] + r * from_h[2 * hidden + u]);
          now[u] = n + z * (now[u] - n);
        }
        y[(t * batch + b) * hidden + u] = now[u];
      }
    }
  }
  Doubles all;
  for (const auto* part : {&y, &h, &c})
    if (part != &c || gates == 4)
      for (const T& v : *part) all.push_back(reported(v));
  return all;
}

/// One layer of an LSTM (4 gates) or GRU (3) with these extents.
inline Sample recurrent_sample(std::int64_t gates, std::int64_t steps, std::int64_t batch,
                               std::int64_t inputs, std::int64_t hidden, std::vector<std::int64_t> params) {
  Sample s{.shapes = {{steps, batch, inputs}, {gates * hidden, inputs}, {gates * hidden, hidden}},
           .params = std::move(params)};
  if (has_biases(s)) s.shapes.insert(s.shapes.end(), 2, {gates * hidden});
  if (has_state(s)) s.shapes.insert(s.shapes.end(), gates == 4 ? 2 : 1, {batch, hidden});
  return s;
}

/// What both rows have in common.
inline OpCase recurrent_case(const OpInfo& info, std::int64_t gates) {
  const auto width = static_cast<std::size_t>(gates);
  const auto sample = [&](std::int64_t steps, std::int64_t batch, std::int64_t inputs, std::int64_t hidden,
                          std::vector<std::int64_t> params, bool fast_only = false) {
    Sample s = recurrent_sample(gates, steps, batch, inputs, hidden, std::move(params));
    s.fast_only = fast_only;
    return s;
  };
  return {.info = info,
          .samples = {sample(3, 2, 2, 2, {0, 1, 1}),               // every operand, whole Jacobian
                      sample(1, 1, 1, 1, {0, 0, 0}),               // the smallest
                      sample(1, 3, 2, 1, {1, 1, 0}),               // one step
                      sample(5, 3, 3, 17, {0, 1, 1, 5, 0, 2}),     // one past 16 lanes
                      sample(5, 3, 3, 17, {1, 1, 1, 3, 5, 0}),     //
                      sample(3, 4, 2, 5, {0, 0, 1, -7, 4, 3, 1}),  // lengths out of range
                      sample(3, 4, 2, 5, {1, 0, 1, -7, 4, 3, 1}),  //
                      sample(4, 9, 2, 33, {1, 1, 0}),              // one past 8 samples, 32 units
                      sample(4, 13, 1, 8, {0, 1, 1, 1, 2, 3, 4, 4, 3, 2, 1, 0, 1, 4, 2, 4}),
                      sample(2, 1, 3, 70, {0, 1, 0}),         // one past 64 units
                      sample(3, 0, 2, 3, {0, 1, 1}),          // no samples
                      sample(2, 7, 2, 220, {0, 0, 1}, true),  // weights too large for a core's cache
                      sample(3, 5, 2, 220, {1, 1, 0, 3, 0, 1, 2, 9}, true)},
          .reference = [=](std::span<const Doubles> in,
                           const Sample& s) { return recurrent<double>(in, s, width); },
          .magnitude = [=](std::span<const Doubles> in,
                           const Sample& s) { return recurrent<Bounded>(in, s, width); },
          .terms = [](const Sample& s) { return static_cast<double>(s.shapes[0][2] + s.shapes[2][1]); },
          // Weights of a size at which the gates do not saturate and errors do not grow from step to step.
          .value = [](int input, std::int64_t,
                      double normal) { return input == 1 || input == 2 ? 0.2 * normal : normal; },
          .gradient_ulps = 64};
}

/// Only the gradients asked for, one at a time, and each as when all are asked for.
inline void check_one_gradient_at_a_time(const OpCase& op, std::int64_t gates, bool reverse) {
  const Sample s = recurrent_sample(gates, 3, 2, 2, 5, {reverse, 1, 1, 3, 2});
  const auto values = sample_inputs(op, s);
  for (const Device& device : devices()) {
    INFO(device.description());
    const auto slopes = [&](std::size_t only) {
      Tape tape;
      std::vector<Var> in;
      for (std::size_t k = 0; k < values.size(); ++k) {
        const Tensor x = to_tensor(values[k], s.shapes[k], DType::f32, device);
        in.push_back(only == k || only == values.size() ? tape.leaf(x) : tape.input(x));
      }
      const Tape::Root root{op.apply_many(in, s)[0], Tensor::full({3, 2, 5}, 1.0, DType::f32, device)};
      tape.backward(std::span(&root, 1));
      std::vector<std::vector<float>> all;
      for (const Var& v : in)
        all.push_back(v.needs_grad() ? tape.grad(v).to_vector<float>() : std::vector<float>());
      return all;
    };
    const auto all = slopes(values.size());
    for (std::size_t k = 0; k < values.size(); ++k) CHECK(slopes(k)[k] == all[k]);
  }
}

}  // namespace fovea::test
