// SPDX-License-Identifier: Apache-2.0
#include <doctest/doctest.h>

#include "autograd/ops/recurrent.h"
#include "tensor/views.h"
#include "tests/ops/recurrent_reference.h"

namespace fovea::test {
namespace {

std::vector<Var> results(std::span<const Var> in, const Sample& s) {
  const std::size_t state = has_biases(s) ? 5 : 3;
  const LstmResult r = lstm(in[0], in[1], in[2], has_biases(s) ? in[3] : Var(), has_biases(s) ? in[4] : Var(),
                            has_state(s) ? in[state] : Var(), has_state(s) ? in[state + 1] : Var(),
                            lengths_of(s, in[0].device()), s.params[0] != 0);
  return {r.y, r.h_last, r.c_last};
}

OpCase row() {
  OpCase op = recurrent_case(lstm_info, 4);
  op.apply_many = results;
  return op;
}

Tensor ones(const Shape& shape, const Device& device, DType dtype = DType::f32) {
  return Tensor::full(shape, 1.0, dtype, device);
}

/// x and weights of a row's sample.
struct Inputs {
  Tensor x, w_input, w_hidden;
};
Inputs inputs(const Device& device) {
  const Sample s = recurrent_sample(4, 4, 3, 2, 5, {0, 0, 0});
  const auto values = sample_inputs(row(), s);
  return {to_tensor(values[0], s.shapes[0], DType::f32, device),
          to_tensor(values[1], s.shapes[1], DType::f32, device),
          to_tensor(values[2], s.shapes[2], DType::f32, device)};
}

}  // namespace

TEST_CASE("lstm") {
  OpCase op = row();
  const auto call = [](const Device& d, const Shape& x, const Shape& w_input, const Shape& w_hidden) {
    lstm(ones(x, d), ones(w_input, d), ones(w_hidden, d), Var(), Var());
  };
  const auto rest = [](const Device& d, const Var& bias, const Var& h0, const Var& c0,
                       const Tensor& lengths) {
    lstm(ones({3, 2, 5}, d), ones({8, 5}, d), ones({8, 2}, d), Var(), bias, h0, c0, lengths);
  };
  op.rejects = {
      {"no sequence",
       [=](const Device& d) {
         call(d, {2, 5}, {8, 5}, {8, 2});
       },
       "lstm: x [2, 5] has rank 2, expected [T, N, I]"},
      {"no steps",
       [=](const Device& d) {
         call(d, {0, 2, 5}, {8, 5}, {8, 2});
       },
       "lstm: x [0, 2, 5] has no steps"},
      {"too many rows",
       [=](const Device& d) {
         lstm(expand(ones({1, 1, 1}, d), {65536, 32768, 1}), ones({8, 1}, d), ones({8, 2}, d), Var(), Var());
       },
       "lstm: x [65536, 32768, 1] has 32768 samples in 65536 steps; together they must be below 2147483648"},
      {"w_hidden of three gates",
       [=](const Device& d) {
         call(d, {3, 2, 5}, {6, 5}, {6, 2});
       },
       "lstm: w_hidden [6, 2] is not [4·H, H] with H of at least 1 (x [3, 2, 5])"},
      {"no units",
       [=](const Device& d) {
         call(d, {3, 2, 5}, {0, 5}, {0, 0});
       },
       "lstm: w_hidden [0, 0] is not [4·H, H] with H of at least 1 (x [3, 2, 5])"},
      {"w_hidden of rank 1",
       [=](const Device& d) {
         call(d, {3, 2, 5}, {8, 5}, {8});
       },
       "lstm: w_hidden [8] is not [4·H, H] with H of at least 1 (x [3, 2, 5])"},
      {"w_input of other inputs",
       [=](const Device& d) {
         call(d, {3, 2, 5}, {8, 4}, {8, 2});
       },
       "lstm: w_input [8, 4] does not fit x [3, 2, 5] and w_hidden [8, 2], expected [8, 5]"},
      {"wrong dtype",
       [](const Device& d) {
         lstm(ones({3, 2, 5}, d, DType::f64), ones({8, 5}, d), ones({8, 2}, d), Var(), Var());
       },
       "lstm: x [3, 2, 5] is f64, expected f32; convert it with to()"},
      {"bias of other units", [=](const Device& d) { rest(d, ones({2}, d), Var(), Var(), {}); },
       "lstm: bias_hidden [2] does not fit x [3, 2, 5] and w_hidden [8, 2], expected [8]"},
      {"h0 of other samples",
       [=](const Device& d) {
         rest(d, Var(), ones({3, 2}, d), Var(), {});
       },
       "lstm: h0 [3, 2] does not fit x [3, 2, 5] and w_hidden [8, 2], expected [2, 2]"},
      {"c0 of wrong dtype",
       [=](const Device& d) {
         rest(d, Var(), Var(), ones({2, 2}, d, DType::f64), {});
       },
       "lstm: c0 [2, 2] is f64, expected f32; convert it with to()"},
      {"lengths in f32", [=](const Device& d) { rest(d, Var(), Var(), Var(), ones({2}, d)); },
       "lstm: lengths [2] is f32, expected i64 or i32; convert it with to()"},
      {"lengths of other samples",
       [=](const Device& d) { rest(d, Var(), Var(), Var(), ones({3}, d, DType::i64)); },
       "lstm: lengths [3] does not fit x [3, 2, 5], expected [2]"}};
  check(op);
}

TEST_CASE("lstm_lengths_forms") {
  for (const Device& device : devices()) {
    INFO(device.description());
    const Inputs in = inputs(device);
    const auto y = [&](const Tensor& lengths) {
      return lstm(in.x, in.w_input, in.w_hidden, Var(), Var(), Var(), Var(), lengths)
          .y.value()
          .to_vector<float>();
    };
    const Tensor some = Tensor::from(std::vector<std::int64_t>{4, 0, 0, 9, 2, 9}, {6}, device);
    CHECK(y(slice(some, 0, 0, 6, 2)) == y(Tensor::from(std::vector<std::int32_t>{4, 0, 2}, {3}, device)));
    CHECK(y(ones({3}, device, DType::i64)) != y({}));
    CHECK(y(Tensor::full({3}, 4, DType::i64, device)) == y({}));  // all of them whole: the same bits
  }
}

// A result that nobody used has no slope: the same as one of zeros.
TEST_CASE("lstm_results_apart") {
  for (const Device& device : devices()) {
    INFO(device.description());
    const Inputs in = inputs(device);
    const auto slopes = [&](auto&& root) {
      Tape tape;
      const Var w = tape.leaf(in.w_hidden);
      const Tape::Root r = root(lstm(in.x, in.w_input, w, Var(), Var()));
      tape.backward(std::span(&r, 1));
      return tape.grad(w).to_vector<float>();
    };
    const Tensor last = Tensor::zeros({4, 3, 5}, DType::f32, device);
    select(last, 0, 3).fill(1.0);
    const auto from_h = slopes([&](const LstmResult& r) {
      return Tape::Root{r.h_last, ones({3, 5}, device)};
    });
    CHECK(from_h == slopes([&](const LstmResult& r) { return Tape::Root{r.y, last}; }));
    CHECK(from_h != slopes([&](const LstmResult& r) { return Tape::Root{r.c_last, ones({3, 5}, device)}; }));
  }
}

TEST_CASE("lstm_one_gradient_at_a_time") { check_one_gradient_at_a_time(row(), 4, true); }

// Sums far from 0 saturate and give no NaN, in vectors as in single numbers; a NaN stays with its sample.
TEST_CASE("lstm_large_sums_and_nan") {
  const float nan = std::numeric_limits<float>::quiet_NaN();
  for (const Device& device : devices()) {
    INFO(device.description());
    const Inputs in = inputs(device);
    const Tensor huge = Tensor::from(std::vector<float>(24, 1e30f), {4, 3, 2}, device);
    for (const float v : lstm(huge, in.w_input, in.w_hidden, Var(), Var()).y.value().to_vector<float>())
      CHECK(std::abs(v) <= 1.0f);
    const Tensor spoilt = in.x.clone();
    slice(spoilt, 1, 1, 2).fill(static_cast<double>(nan));
    const auto y = lstm(spoilt, in.w_input, in.w_hidden, Var(), Var()).y.value().to_vector<float>();
    for (std::size_t i = 0; i < y.size(); ++i) CHECK(std::isnan(y[i]) == (i / 5 % 3 == 1));
  }
}

}  // namespace fovea::test
