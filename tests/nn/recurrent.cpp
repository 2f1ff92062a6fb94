// SPDX-License-Identifier: Apache-2.0
#include "nn/recurrent.h"

#include <doctest/doctest.h>

#include <cmath>

#include "autograd/ops/dropout.h"
#include "autograd/ops/elementwise.h"
#include "autograd/ops/recurrent.h"
#include "autograd/ops/reduce.h"
#include "nn/init.h"
#include "nn/linear.h"
#include "nn/optim/adam.h"
#include "nn/sequential.h"
#include "tensor/views.h"
#include "tests/nn/expect.h"

using namespace fovea;
using namespace fovea::test;

namespace {

Tensor normals(const Shape& shape, const Device& device, const char* stream = "recurrent") {
  return Tensor::normal(shape, {3, philox::stream_id(stream), 0, nullptr}, 0.0f, 1.0f, device);
}

}  // namespace

TEST_CASE("an LSTM of one unit by hand, and a GRU") {
  for (const Device& device : both_devices()) {
    const auto logistic = [](double v) { return 1 / (1 + std::exp(-v)); };
    nn::LSTM lstm(1, 1, device);
    lstm.weights(0).weight_ih.value.copy_from(floats({1, 2, 3, 4}, {4, 1}, device));
    lstm.weights(0).weight_hh.value.copy_from(floats({0.5f, 0.25f, -1, -0.5f}, {4, 1}, device));
    lstm.weights(0).bias_ih.value.copy_from(floats({0, 1, 0, 0}, {4}, device));
    lstm.weights(0).bias_hh.value.copy_from(floats({0, 0, 0.5f, 0}, {4}, device));
    const Floats y = values(lstm(floats({0.5f, -1}, {2, 1, 1}, device)));
    double c = logistic(0.5) * std::tanh(1.5 + 0.5), h = logistic(2) * std::tanh(c);
    CHECK(y[0] == doctest::Approx(h));
    c = logistic(-2 + 1 + 0.25 * h) * c + logistic(-1 + 0.5 * h) * std::tanh(-3 + 0.5 - h);
    CHECK(y[1] == doctest::Approx(logistic(-4 - 0.5 * h) * std::tanh(c)));

    nn::GRU gru(1, 1, device);
    gru.weights(0).weight_ih.value.copy_from(floats({1, 2, 3}, {3, 1}, device));
    gru.weights(0).weight_hh.value.copy_from(floats({0.5f, 0.25f, -1}, {3, 1}, device));
    gru.weights(0).bias_ih.value.fill(0.0);
    gru.weights(0).bias_hh.value.copy_from(floats({0, 0, 2}, {3}, device));
    const Floats z = values(gru(floats({0.5f, -1}, {2, 1, 1}, device)));
    h = (1 - logistic(1)) * std::tanh(1.5 + logistic(0.5) * 2);
    CHECK(z[0] == doctest::Approx(h));
    const double r = logistic(-1 + 0.5 * h), u = logistic(-2 + 0.25 * h);
    CHECK(z[1] == doctest::Approx((1 - u) * std::tanh(-3 + r * (2 - h)) + u * h));
  }
}

TEST_CASE("recurrent layers have PyTorch's names, shapes and counts") {
  const Device device = Device::cpu();
  nn::LSTM lstm(3, 5, device, {.layers = 2, .bidirectional = true});
  const std::vector<std::pair<std::string, Shape>> expected = {{"weight_ih_l0", {20, 3}},
                                                               {"weight_hh_l0", {20, 5}},
                                                               {"bias_ih_l0", {20}},
                                                               {"bias_hh_l0", {20}},
                                                               {"weight_ih_l0_reverse", {20, 3}},
                                                               {"weight_hh_l0_reverse", {20, 5}},
                                                               {"bias_ih_l0_reverse", {20}},
                                                               {"bias_hh_l0_reverse", {20}},
                                                               {"weight_ih_l1", {20, 10}},
                                                               {"weight_hh_l1", {20, 5}},
                                                               {"bias_ih_l1", {20}},
                                                               {"bias_hh_l1", {20}},
                                                               {"weight_ih_l1_reverse", {20, 10}},
                                                               {"weight_hh_l1_reverse", {20, 5}},
                                                               {"bias_ih_l1_reverse", {20}},
                                                               {"bias_hh_l1_reverse", {20}}};
  const auto parameters = lstm.named_parameters();
  REQUIRE(parameters.size() == expected.size());
  for (std::size_t k = 0; k < expected.size(); ++k) {
    CHECK(parameters[k].name == expected[k].first);
    CHECK(parameters[k].parameter->value.shape() == expected[k].second);
  }
  CHECK(lstm.parameter_count() == 2 * (4 * 5 * (3 + 5 + 2)) + 2 * (4 * 5 * (10 + 5 + 2)));
  CHECK(nn::GRU(3, 5, device).parameter_count() == 3 * 5 * (3 + 5 + 2));
  CHECK(nn::GRU(3, 5, device, {.bias = false}).parameter_count() == 3 * 5 * (3 + 5));
}

TEST_CASE("recurrent layers start in U(±1/√hidden), the forget gate further up") {
  const Device device = Device::cpu();
  nn::LSTM plain(2, 16, device), forgetful(2, 16, device, {.forget_bias = 1.0f});
  nn::initialize(plain, 5);
  nn::initialize(forgetful, 5);
  float largest = 0;
  for (const auto& [name, parameter] : plain.named_parameters())
    for (const float v : parameter->value.to_vector<float>()) largest = std::max(largest, std::abs(v));
  CHECK(largest <= 0.25f);
  CHECK(largest > 0.24f);  // of 1280 values
  const Floats before = plain.weights(0).bias_ih.value.to_vector<float>();
  const Floats after = forgetful.weights(0).bias_ih.value.to_vector<float>();
  for (std::size_t k = 0; k < 64; ++k) CHECK(after[k] == (k / 16 == 1 ? before[k] + 1.0f : before[k]));
  CHECK(forgetful.weights(0).bias_hh.value.to_vector<float>() ==
        plain.weights(0).bias_hh.value.to_vector<float>());
}

TEST_CASE("two layers of two directions are four ops and their results side by side") {
  for (const Device& device : both_devices()) {
    nn::LSTM lstm(3, 4, device, {.layers = 2, .bidirectional = true});
    nn::initialize(lstm, 1);
    const Tensor x = normals({5, 2, 3}, device),
                 lengths = Tensor::from(std::vector<std::int64_t>{5, 3}, {2}, device);
    nn::RecurrentState initial;
    for (const char* name : {"a", "b", "c", "d"}) {
      initial.h.push_back(normals({2, 4}, device, name));
      initial.c.push_back(normals({2, 4}, device, name));
    }
    Tape tape;
    const nn::RecurrentRun got = lstm.run(tape.input(x), lengths, initial);
    REQUIRE(got.y.shape() == Shape{5, 2, 8});
    Tensor in = x;
    for (int layer = 0; layer < 2; ++layer) {
      const Tensor y = Tensor::empty({5, 2, 8}, DType::f32, device);
      for (const bool reverse : {false, true}) {
        const auto& w = lstm.weights(layer, reverse);
        const auto k = static_cast<std::size_t>(2 * layer + (reverse ? 1 : 0));
        const LstmResult r = fovea::lstm(in, w.weight_ih.value, w.weight_hh.value, w.bias_ih.value,
                                         w.bias_hh.value, initial.h[k], initial.c[k], lengths, reverse);
        slice(y, 2, reverse ? 4 : 0, reverse ? 8 : 4).copy_from(r.y.value());
        CHECK(values(r.h_last) == values(got.state.h[k]));
        CHECK(values(r.c_last) == values(got.state.c[k]));
      }
      in = y;
    }
    CHECK(in.to_vector<float>() == values(got.y));
    tape.backward(sum(square(got.y)));
    for (const auto& [name, parameter] : lstm.named_parameters()) CHECK(parameter->grad.defined());
  }
}

TEST_CASE("a sequence in two halves goes on from the state, as in one piece") {
  const Device device = Device::cpu();
  nn::GRU gru(3, 4, device, {.layers = 2});
  nn::initialize(gru, 1);
  const Tensor x = normals({6, 2, 3}, device);
  const nn::RecurrentRun whole = gru.run(x), first = gru.run(slice(x, 0, 0, 2));
  const nn::RecurrentRun second = gru.run(slice(x, 0, 2, 6), {}, first.state);
  CHECK(values(second.y) == slice(whole.y.value(), 0, 2, 6).to_vector<float>());
  for (std::size_t k = 0; k < 2; ++k) CHECK(values(second.state.h[k]) == values(whole.state.h[k]));
  CHECK(whole.state.c.empty());
}

TEST_CASE("a recurrent layer's state goes round") {
  const Device device = Device::cpu();
  nn::GRU one(3, 4, device, {.bidirectional = true}), other(3, 4, device, {.bidirectional = true});
  nn::initialize(one, 1);
  nn::initialize(other, 2);
  const Tensor x = normals({4, 2, 3}, device);
  CHECK(values(one(x)) != values(other(x)));
  other.load_state(one.state());
  CHECK(values(one(x)) == values(other(x)));
}

TEST_CASE("recurrent layers name themselves and what does not fit") {
  const Device device = Device::cpu();
  nn::Sequential net;
  auto& lstm = net.add_named<nn::LSTM>("cell", 3, 2, device);
  nn::GRU gru(3, 2, device);
  const Tensor x = Tensor::zeros({4, 2, 3}, DType::f32, device);
  CHECK(message([&] {
          lstm(Tensor::zeros({4, 2, 5}, DType::f32, device));
        }) == "lstm 'cell': x [4, 2, 5] is not [T, B, 3], which weight_ih_l0 [8, 3] expects");
  CHECK(message([&] {
          gru(Tensor::zeros({4, 3}, DType::f32, device));
        }) == "gru: x [4, 3] is not [T, B, 3], which weight_ih_l0 [6, 3] expects");
  CHECK(message([&] {
          lstm.run(x, {}, {.h = {Var(), Var()}});
        }) == "lstm 'cell': the initial state has 2 h and 0 c, expected 1 and 1, or none");
  CHECK(message([&] { gru.run(x, {}, {.c = {Var()}}); }) ==
        "gru: the initial state has 0 h and 1 c, expected 1 and 0, or none");
  CHECK(message([&] { lstm.weights(1); }) == "lstm 'cell': there is no layer 1 among 1");
  CHECK(message([&] { gru.weights(0, true); }) == "gru: there is no layer 0 reversed among 1");
  CHECK(message([&] { nn::GRU(3, 2, device, {.bidirectional = true}).weights(-1); }) ==
        "gru: there is no layer -1 among 1 of two directions");
  CHECK(message([&] { nn::LSTM(3, 0, device); }) ==
        "lstm: 3 inputs, 0 units and 1 layers: each must be at least 1");
  CHECK(message([&] { nn::GRU(3, 2, device, {.forget_bias = 1}); }) ==
        "gru: forget_bias is 1, but there is no bias of a forget gate");
  CHECK(message([&] { nn::LSTM(3, 2, device, {.bias = false, .forget_bias = 1}); }) ==
        "lstm: forget_bias is 1, but there is no bias of a forget gate");
}

// The sign of the first input has to be remembered over five steps of noise.
TEST_CASE_TEMPLATE("an LSTM and a GRU learn to remember", Cells, nn::LSTM, nn::GRU) {
  const Device device = Device::cpu();
  Cells cells(2, 8, device);
  nn::Linear readout(8, 1, device);
  nn::initialize(cells, 3);
  nn::initialize(readout, 4);
  const Tensor x = normals({6, 32, 2}, device);
  Floats signs;
  for (const float v : slice(select(x, 0, 0), 1, 0, 1).to_vector<float>())
    signs.push_back(v > 0 ? 1.0f : -1.0f);
  const Tensor target = floats(signs, {32, 1}, device);
  auto optimizer = nn::adam({{cells.named_parameters()}, {readout.named_parameters()}}, 0.02);
  double first = 0, last = 0;
  for (int step = 0; step < 120; ++step) {
    optimizer.zero_grad();
    Tape tape;
    const Var loss = mean(square(readout(cells.run(tape.input(x)).state.h[0]) - target));
    last = loss.value().item();
    if (step == 0) first = last;
    tape.backward(loss);
    optimizer.step();
  }
  CHECK(first > 0.8);  // the mean of squares of ±1
  CHECK(last < 0.1);
}

TEST_CASE("dropout stands between the layers of an LSTM, in training only") {
  const Device device = Device::cpu();
  nn::LSTM dropped(3, 8, device, {.layers = 2, .dropout = 0.5f}), plain(3, 8, device, {.layers = 2});
  nn::initialize(dropped, 4);
  plain.load_state(dropped.state());
  const Tensor x = normals({4, 2, 3}, device);
  Tape tape({1, 0});
  const Var y = dropped(tape.input(x));
  CHECK(values(y) != values(plain(x)));
  // The first layer by itself, its mask, and the second layer.
  const auto& first = plain.weights(0);
  const auto& second = plain.weights(1);
  const Var below =
      lstm(x, first.weight_ih.value, first.weight_hh.value, first.bias_ih.value, first.bias_hh.value).y;
  const Var masked = dropout(below, 0.5f, tape.key("dropout_l0"));
  CHECK(values(lstm(masked, second.weight_ih.value, second.weight_hh.value, second.bias_ih.value,
                    second.bias_hh.value)
                   .y) == values(y));
  dropped.eval();
  CHECK(values(dropped(x)) == values(plain(x)));
  CHECK(message([&] { nn::LSTM(1, 1, device, {.layers = 2, .dropout = 1.0f}); }) ==
        "dropout: p must be in [0, 1), got 1");
}
