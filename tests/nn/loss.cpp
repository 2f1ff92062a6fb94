// SPDX-License-Identifier: Apache-2.0
#include "nn/loss.h"

#include <doctest/doctest.h>

#include <cmath>
#include <limits>

#include "nn/activation.h"
#include "nn/init.h"
#include "nn/linear.h"
#include "nn/optim/sgd.h"
#include "nn/sequential.h"
#include "tests/nn/expect.h"

using namespace fovea;
using namespace fovea::test;

TEST_CASE("losses are means over all elements") {
  for (const Device& device : both_devices()) {
    const Tensor rate = floats({1, 2, 4, 0.5}, {2, 2}, device), target = floats({0, 2, 1, 3}, {2, 2}, device);
    const double expected =
        (1 + (2 - 2 * std::log(2.0)) + (4 - std::log(4.0)) + (0.5 - 3 * std::log(0.5))) / 4;
    CHECK(nn::PoissonLoss{}(rate, target).value().item() == doctest::Approx(expected).epsilon(1e-6));
    CHECK(nn::MseLoss{}(rate, target).value().item() == doctest::Approx((1 + 0 + 9 + 6.25) / 4));
    Tape tape;
    const Var x = tape.leaf(rate);
    tape.backward(nn::PoissonLoss{}(x, target));
    const Floats slope = tape.grad(x).to_vector<float>();
    CHECK(slope[0] == doctest::Approx(0.25));
    CHECK(slope[3] == doctest::Approx(0.25 * (1 - 3 / 0.5)));
  }
}

TEST_CASE("an activity penalty is a mean, or a sum over batch and cells") {
  const Device device = Device::cpu();
  const Tensor x = floats({1, -2, 3, -4}, {2, 2}, device);
  CHECK(nn::activity_l1(x, 0.5f).value().item() == doctest::Approx(1.25));
  CHECK(nn::activity_l1(x, 0.5f, nn::ActivityNorm::sum).value().item() == doctest::Approx(5.0));
  Tape tape;
  const Var leaf = tape.leaf(x);
  tape.backward(nn::activity_l1(leaf, 0.5f));
  CHECK(tape.grad(leaf).to_vector<float>() == Floats{0.125, -0.125, 0.125, -0.125});
}

TEST_CASE("the weight penalty covers weights only and has the gradient 2cw") {
  const Device device = Device::cpu();
  nn::Sequential net;
  auto& first = net.add<nn::Linear>(2, 1, device);
  auto& second = net.add<nn::Linear>(1, 1, device);
  first.weight.value.copy_from(floats({3, -4}, {1, 2}, device));
  second.weight.value.fill(2.0);
  first.bias.value.fill(100.0);
  second.bias.value.fill(100.0);
  Tape tape;
  const Var penalty = nn::weight_l2(net, tape.input(Tensor::zeros({1}, DType::f32, device)), 0.5f);
  CHECK(penalty.value().item() == doctest::Approx(0.5 * (9 + 16 + 4)));
  tape.backward(penalty);
  CHECK(first.weight.grad.to_vector<float>() == Floats{3, -4});
  CHECK(second.weight.grad.item() == doctest::Approx(2.0));
  CHECK_FALSE(first.bias.grad.defined());
  nn::ReLU none;
  CHECK(message([&] { nn::weight_l2(none, Var(), 1.0f); }) ==
        "weight_l2: the module has no weights to penalise");
}

TEST_CASE("a loss is finite or it is not") {
  const Device device = Device::cpu();
  const auto scalar = [&](double value) { return Tensor::full({}, value, DType::f32, device); };
  CHECK(nn::is_finite(scalar(-3.5)));
  CHECK_FALSE(nn::is_finite(scalar(std::numeric_limits<double>::quiet_NaN())));
  CHECK_FALSE(nn::is_finite(scalar(-std::numeric_limits<double>::infinity())));
  CHECK(message([&] { nn::is_finite(Tensor::zeros({2}, DType::f32, device)); }) ==
        "item: needs a tensor of one element, got shape [2]");
}

TEST_CASE("the cross-entropy loss is the op's, with its label smoothing") {
  const Device device = Device::cpu();
  const Tensor logits = floats({0, 0, 1e4f, 0}, {2, 2}, device);
  const Tensor labels = Tensor::from(std::vector<std::int64_t>{1, 0}, {2}, device);
  CHECK(nn::CrossEntropyLoss{}(logits, labels).value().item() == doctest::Approx(std::log(2.0) / 2));
  CHECK(nn::CrossEntropyLoss{.label_smoothing = 0.5f}(logits, labels).value().item() ==
        doctest::Approx((std::log(2.0) + 2500) / 2));
}

TEST_CASE("a linear layer learns classes by the cross-entropy loss") {
  const Device device = Device::cpu();
  nn::Linear layer(2, 3, device);
  nn::initialize(layer, 3);
  // Three directions, one class each.
  const Tensor x = floats({2, 0, 1.5f, 0.5f, -1, 2, -1, 1.5f, -1, -2, -0.5f, -1.5f}, {6, 2}, device);
  const Tensor labels = Tensor::from(std::vector<std::int64_t>{0, 0, 1, 1, 2, 2}, {6}, device);
  nn::Optimizer sgd = nn::sgd({nn::all_parameters(layer)}, 0.5);
  double first = 0, last = 0;
  for (int step = 0; step < 60; ++step) {
    sgd.zero_grad();
    Tape tape;
    const Var loss = nn::CrossEntropyLoss{}(layer(tape.input(x)), labels);
    last = loss.value().item();
    if (step == 0) first = last;
    tape.backward(loss);
    sgd.step();
  }
  CHECK(first > 0.5);
  CHECK(last < 0.05);
}
