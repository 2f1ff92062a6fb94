// SPDX-License-Identifier: Apache-2.0
#include "autograd/ops/conv_rnn_gated.h"

#include <doctest/doctest.h>

#include "autograd/ops/conv_rnn_gru.h"
#include "tests/ops/conv_rnn_reference.h"

namespace fovea::test {
namespace {

/// y = G·old + (1 − G)·f(q) of one element, where the gates stand at g and q of a gate map.
void blend(const ReferenceMap& gates, std::size_t g, std::size_t q, double shift, Function f, double old,
           ReferenceCell& to) {
  const double gate = sigmoid_of(gates.y[g] + shift), candidate = value_at(f, gates.y[q]);
  to.push(gate * old + (1 - gate) * candidate,
          (1 + std::abs(old) + std::abs(candidate)) * (2 + gates.magnitude[g] + gates.magnitude[q]));
}

/// Cells with one kernel: inputs x, h, c if states = 2, w, b if it is there.
ReferenceCell cell(std::span<const Doubles> in, const Sample& sample, CellKind kind, bool passes_x) {
  const std::size_t w = kind == CellKind::lstm ? 3 : 2;
  const Shape &xs = sample.shapes[0], &hs = sample.shapes[1];
  const ReferenceMap gates = reference_gates(in[0], xs, in[1], hs, in[w], sample.shapes[w],
                                             in.size() > w + 1 ? &in[w + 1] : nullptr);
  ReferenceCell first, second;
  const std::int64_t d = hs[1];
  for (std::int64_t n = 0; n < hs[0]; ++n)
    for (std::int64_t o = 0; o < d; ++o)
      for (std::int64_t i = 0; i < gates.plane(); ++i) {
        const auto at = [&](std::int64_t k) { return gates.at(n, k * d + o, i, gates.channels); };
        const std::size_t e = gates.at(n, o, i, d);
        if (kind == CellKind::lstm) {
          const double c = in[2][e] * sigmoid_of(gates.y[at(2)] + 0.5) +
                           sigmoid_of(gates.y[at(0)]) * std::tanh(gates.y[at(1)]);
          double size = 2;
          for (int k = 0; k < 4; ++k) size += gates.magnitude[at(k)];
          size *= 1 + std::abs(in[2][e]);
          first.push(std::tanh(c) * sigmoid_of(gates.y[at(3)]), size);
          second.push(c, size);
        } else {
          blend(gates, at(0), at(1), 1.0, Function::tanh, in[1][e], first);
          if (passes_x) blend(gates, at(2), at(3), 1.0, Function::relu, in[0][e], second);
        }
      }
  if (passes_x) std::swap(first, second);  // y, then h'
  first.append(second);
  return first;
}

double terms(const Sample& sample) {
  double most = 1;
  for (const Shape& shape : sample.shapes)
    if (shape.rank() == 4) most = std::max(most, static_cast<double>(shape[1] * shape[2] * shape[3] + 1));
  return most;
}

/// {x, h, c, w, b} with D channels of state; params {keep_gates}.
Sample sample_of(const Shape& x, std::int64_t d, std::int64_t rows, std::int64_t columns, int gates,
                 bool has_c, bool has_bias = true, int keep = 0, bool fast_only = false) {
  const Shape state{x[0], d, x[2], x[3]};
  Sample sample{.shapes = {x, state}, .params = {keep}, .dtype = DType::f32, .fast_only = fast_only};
  if (has_c) sample.shapes.push_back(state);
  sample.shapes.push_back({gates * d, x[1] + d, rows, columns});
  if (has_bias) sample.shapes.push_back({gates * d});
  return sample;
}

/// Maps of one pixel, of a few, one past the rows of a thread; kernels that are even, larger than the map;
/// channels around the 8 of a tile.
std::vector<Sample> samples_of(int gates, bool has_c, bool as_many) {
  const auto d = [&](const Shape& x, std::int64_t count) { return as_many ? x[1] : count; };
  std::vector<Sample> samples;
  const auto add = [&](const Shape& x, std::int64_t count, std::int64_t rows, std::int64_t columns,
                       bool bias = true, int keep = 0, bool fast_only = false) {
    samples.push_back(sample_of(x, d(x, count), rows, columns, gates, has_c, bias, keep, fast_only));
  };
  add({1, 2, 2, 3}, 2, 3, 3);
  add({2, 3, 7, 7}, 5, 3, 3);
  add({1, 1, 1, 1}, 1, 1, 1, false);
  add({0, 2, 3, 3}, 2, 3, 3);
  add({2, 2, 5, 3}, 3, 2, 2, true, 1);
  add({1, 9, 5, 3}, 8, 3, 2, true, 1);
  add({3, 1, 4, 4}, 2, 5, 7, false);
  add({19, 1, 5, 4}, 1, 3, 3);
  add({1, 1, 70, 9}, 1, 3, 3, false);
  if (!as_many) add({5, 9, 14, 14}, 9, 3, 3, true, 0, true);  // among so many, some ReLU meets its kink
  return samples;
}

/// Kernels and biases, the inputs from `first` on, are small: 1 − tanh² of a saturated gate has lost its
/// digits.
auto small_weights(int first) {
  return [first](int input, std::int64_t, double normal) { return input < first ? normal : 0.3 * normal; };
}

ConvLstmOptions lstm_options(const Sample& sample) {
  return {.forget_bias = 0.5f, .keep_gates = sample.params[0] != 0};
}
ConvCellOptions options(const Sample& sample) { return {.keep_gates = sample.params[0] != 0}; }

}  // namespace

TEST_CASE("conv_lstm_step") {
  const auto step = [](const Device& d, const Shape& x, const Shape& h, const Shape& c, const Shape& w,
                       const Shape& b) {
    conv_lstm_step(zeros_of(x, d), {zeros_of(h, d), zeros_of(c, d)}, zeros_of(w, d), zeros_of(b, d));
  };
  const Shape x{2, 3, 5, 4}, h{2, 2, 5, 4}, w{8, 5, 3, 3}, b{8};
  check({.info = conv_lstm_step_info,
         .samples = samples_of(4, true, false),
         .apply_many =
             [](std::span<const Var> in, const Sample& sample) {
               const auto state = conv_lstm_step(in[0], {in[1], in[2]}, in[3], in.size() > 4 ? in[4] : Var(),
                                                 lstm_options(sample));
               return std::vector<Var>{state.h, state.c};
             },
         .reference = [](std::span<const Doubles> in,
                         const Sample& sample) { return cell(in, sample, CellKind::lstm, false).y; },
         .magnitude = [](std::span<const Doubles> in,
                         const Sample& sample) { return cell(in, sample, CellKind::lstm, false).magnitude; },
         .terms = terms,
         .value = small_weights(3),
         .rejects =
             {{"a vector",
               [=](const Device& d) {
                 step(d, {2, 3}, h, h, w, b);
               },
               "conv_lstm_step: x [2, 3] must be [N, C, H, W]"},
              {"a state of another map",
               [=](const Device& d) {
                 step(d, x, {2, 2, 5, 5}, h, w, b);
               },
               "conv_lstm_step: h [2, 2, 5, 5] does not fit x [2, 3, 5, 4], expected [2, channels, 5, 4]"},
              {"a cell of other channels",
               [=](const Device& d) {
                 step(d, x, h, {2, 3, 5, 4}, w, b);
               },
               "conv_lstm_step: c [2, 3, 5, 4] does not fit x [2, 3, 5, 4], expected [2, 2, 5, 4]"},
              {"a kernel for other channels",
               [=](const Device& d) {
                 step(d, x, h, h, {8, 4, 3, 3}, b);
               },
               "conv_lstm_step: w is [8, 4, 3, 3], expected [8, 5, R, S] (x [2, 3, 5, 4])"},
              {"a bias of other channels", [=](const Device& d) { step(d, x, h, h, w, {2}); },
               "conv_lstm_step: b is [2], expected [8] (x [2, 3, 5, 4])"},
              {"f64",
               [=](const Device& d) {
                 conv_lstm_step(zeros_of(x, d, DType::f64), {zeros_of(h, d), zeros_of(h, d)}, zeros_of(w, d),
                                Var());
               },
               "conv_lstm_step: x [2, 3, 5, 4] is f64, expected f32; convert it with to()"},
              {"two devices",
               [=](const Device&) {
                 const Device cpu = Device::cpu(), simt = Device::simt();
                 conv_lstm_step(zeros_of(x, cpu), {zeros_of(h, simt), zeros_of(h, cpu)}, zeros_of(w, cpu),
                                Var());
               },
               "conv_lstm_step: [2, 3, 5, 4] is on cpu and [2, 2, 5, 4] on simt; move one with to()"}}});
}

TEST_CASE("conv_ugrnn_step") {
  check({.info = conv_ugrnn_step_info,
         .samples = samples_of(2, false, false),
         .apply =
             [](std::span<const Var> in, const Sample& sample) {
               return conv_ugrnn_step(in[0], in[1], in[2], in.size() > 3 ? in[3] : Var(), options(sample));
             },
         .reference = [](std::span<const Doubles> in,
                         const Sample& sample) { return cell(in, sample, CellKind::blend, false).y; },
         .magnitude = [](std::span<const Doubles> in,
                         const Sample& sample) { return cell(in, sample, CellKind::blend, false).magnitude; },
         .terms = terms,
         .value = small_weights(2)});
}

TEST_CASE("intersection_rnn_step") {
  check({.info = intersection_rnn_step_info,
         .samples = samples_of(4, false, true),
         .apply_many =
             [](std::span<const Var> in, const Sample& sample) {
               const auto result =
                   intersection_rnn_step(in[0], in[1], in[2], in.size() > 3 ? in[3] : Var(), options(sample));
               return std::vector<Var>{result.y, result.h};
             },
         .reference = [](std::span<const Doubles> in,
                         const Sample& sample) { return cell(in, sample, CellKind::blend, true).y; },
         .magnitude = [](std::span<const Doubles> in,
                         const Sample& sample) { return cell(in, sample, CellKind::blend, true).magnitude; },
         .terms = terms,
         .value = small_weights(2),
         .rejects =
             {{"a state of other channels",
               [](const Device& d) {
                 intersection_rnn_step(zeros_of({1, 3, 4, 4}, d), zeros_of({1, 2, 4, 4}, d),
                                       zeros_of({8, 4, 3, 3}, d), Var());
               },
               "intersection_rnn_step: h [1, 2, 4, 4] does not fit x [1, 3, 4, 4], expected [1, 3, 4, 4]"}}});
}

namespace {

/// Inputs x, h, gates, candidate, and both biases if they are there.
ReferenceCell gru(std::span<const Doubles> in, const Sample& sample) {
  const Shape &xs = sample.shapes[0], &hs = sample.shapes[1];
  const bool has_bias = in.size() > 4;
  const ReferenceMap gates =
      reference_gates(in[0], xs, in[1], hs, in[2], sample.shapes[2], has_bias ? &in[4] : nullptr);
  const std::int64_t d = hs[1];
  Doubles reset(in[1].size());
  const auto for_all = [&](const auto& f) {
    for (std::int64_t n = 0; n < hs[0]; ++n)
      for (std::int64_t o = 0; o < d; ++o)
        for (std::int64_t i = 0; i < gates.plane(); ++i)
          f(gates.at(n, o, i, d), gates.at(n, o, i, 2 * d), gates.at(n, d + o, i, 2 * d));
  };
  double reset_error = 0;
  for_all([&](std::size_t e, std::size_t r, std::size_t) {
    reset[e] = sigmoid_of(gates.y[r] + 1.0) * in[1][e];
    reset_error = std::max(reset_error, std::abs(in[1][e]) * (2 + gates.magnitude[r]));
  });
  const ReferenceMap candidate =
      reference_gates(in[0], xs, reset, hs, in[3], sample.shapes[3], has_bias ? &in[5] : nullptr);
  ReferenceCell to;
  for_all([&](std::size_t e, std::size_t, std::size_t u) {
    const double gate = sigmoid_of(gates.y[u]), fresh = std::tanh(candidate.y[e]);
    // The candidate's terms have the error of r·h beside their own rounding.
    to.push(gate * in[1][e] + (1 - gate) * fresh,
            (1 + std::abs(in[1][e])) * (2 + gates.magnitude[u] + candidate.magnitude[e] * (1 + reset_error)));
  });
  return to;
}

ConvGruWeights gru_weights(std::span<const Var> in) {
  return {.gates = in[2],
          .gates_bias = in.size() > 4 ? in[4] : Var(),
          .candidate = in[3],
          .candidate_bias = in.size() > 4 ? in[5] : Var()};
}

Sample gru_sample(const Shape& x, std::int64_t d, std::int64_t kernel, std::int64_t candidate,
                  bool has_bias = true, int keep = 0, bool fast_only = false) {
  Sample sample{.shapes = {x,
                           {x[0], d, x[2], x[3]},
                           {2 * d, x[1] + d, kernel, kernel},
                           {d, x[1] + d, candidate, candidate}},
                .params = {keep},
                .dtype = DType::f32,
                .fast_only = fast_only};
  if (has_bias) sample.shapes.insert(sample.shapes.end(), {{2 * d}, {d}});
  return sample;
}

}  // namespace

TEST_CASE("conv_gru_step") {
  const Shape x{2, 3, 5, 4}, h{2, 2, 5, 4}, gates{4, 5, 3, 3}, candidate{2, 5, 3, 3};
  const auto step = [](const Device& d, const Shape& xs, const Shape& hs, const Shape& g, const Shape& gb,
                       const Shape& c, const Shape& cb) {
    conv_gru_step(zeros_of(xs, d), zeros_of(hs, d),
                  {zeros_of(g, d), zeros_of(gb, d), zeros_of(c, d), zeros_of(cb, d)});
  };
  check({.info = conv_gru_step_info,
         .samples = {gru_sample({1, 2, 2, 3}, 2, 3, 3), gru_sample({2, 3, 7, 7}, 5, 3, 3, true, 1),
                     gru_sample({1, 1, 1, 1}, 1, 1, 1, false), gru_sample({0, 2, 3, 3}, 2, 3, 3),
                     gru_sample({2, 2, 5, 3}, 3, 2, 3), gru_sample({1, 9, 5, 3}, 8, 3, 2, true, 1),
                     gru_sample({3, 1, 4, 4}, 2, 5, 7, false), gru_sample({19, 1, 5, 4}, 1, 3, 3),
                     gru_sample({5, 9, 14, 14}, 9, 3, 3, true, 0, true)},
         .apply =
             [](std::span<const Var> in, const Sample& sample) {
               return conv_gru_step(in[0], in[1], gru_weights(in), options(sample));
             },
         .reference = [](std::span<const Doubles> in, const Sample& sample) { return gru(in, sample).y; },
         .magnitude = [](std::span<const Doubles> in,
                         const Sample& sample) { return gru(in, sample).magnitude; },
         .terms = terms,
         .value = small_weights(2),
         .rejects = {{"gates for other channels",
                      [=](const Device& d) {
                        step(d, x, h, {4, 4, 3, 3}, {4}, candidate, {2});
                      },
                      "conv_gru_step: gates is [4, 4, 3, 3], expected [4, 5, R, S] (x [2, 3, 5, 4])"},
                     {"a gate bias of one gate",
                      [=](const Device& d) { step(d, x, h, gates, {2}, candidate, {2}); },
                      "conv_gru_step: gates_bias is [2], expected [4] (x [2, 3, 5, 4])"},
                     {"a candidate for two gates",
                      [=](const Device& d) { step(d, x, h, gates, {4}, gates, {2}); },
                      "conv_gru_step: candidate is [4, 5, 3, 3], expected [2, 5, R, S] (x [2, 3, 5, 4])"},
                     {"a candidate bias of rank 2",
                      [=](const Device& d) {
                        step(d, x, h, gates, {4}, candidate, {2, 1});
                      },
                      "conv_gru_step: candidate_bias is [2, 1], expected [2] (x [2, 3, 5, 4])"}}});
}

}  // namespace fovea::test
