// SPDX-License-Identifier: Apache-2.0
#include "autograd/anomaly.h"

#include <doctest/doctest.h>

#include <cmath>
#include <limits>

#include "autograd/ops/elementwise.h"
#include "autograd/ops/join.h"
#include "autograd/ops/loss.h"
#include "autograd/ops/matmul.h"
#include "autograd/ops/reduce.h"
#include "nn/linear.h"
#include "nn/sequential.h"
#include "tests/nn/expect.h"

using namespace fovea;
using namespace fovea::test;

namespace {

constexpr float kNan = std::numeric_limits<float>::quiet_NaN();
constexpr float kInf = std::numeric_limits<float>::infinity();

std::vector<Device> devices() { return {Device::cpu({.threads = 2}), both_devices()[1]}; }

/// What anomaly mode finds in f(tape); REQUIREs that it finds something.
template <class F>
NonFinite found(F&& f) {
  AnomalyCheck check;
  Tape tape({}, &check);
  try {
    f(tape);
  } catch (const NonFiniteError& error) {
    CHECK(error.what() == error.finding.str());
    return error.finding;
  }
  FAIL("nothing was found");
  return {};
}

}  // namespace

TEST_CASE("the first bad element is found in row-major order, in any float type and layout") {
  for (const Device& device : devices()) {
    CHECK_FALSE(first_bad_element(Tensor::zeros({2, 3}, DType::f32, device)));
    CHECK_FALSE(first_bad_element(Tensor()));
    CHECK_FALSE(first_bad_element(Tensor::zeros({2, 3}, DType::i64, device)));
    CHECK_FALSE(first_bad_element(Tensor::zeros({0, 3}, DType::f32, device)));
    const Tensor x = floats({0, 1, kInf, 3, kNan, 5}, {2, 3}, device);
    for (const DType dtype : {DType::f32, DType::f64, DType::bf16}) {
      const auto bad = first_bad_element(x.to(dtype));
      REQUIRE(bad);
      CHECK(bad->index == Shape{0, 2});
      CHECK(bad->value == std::numeric_limits<double>::infinity());
    }
    const auto turned = first_bad_element(x.view({3, 2}, Strides{1, 3}, 0));  // the transpose
    REQUIRE(turned);
    CHECK(turned->index == Shape{1, 1});
    CHECK(std::isnan(turned->value));
    const auto scalar = first_bad_element(floats({-kInf}, {}, device));
    REQUIRE(scalar);
    CHECK(scalar->index == Shape{});
    CHECK(scalar->value == -std::numeric_limits<double>::infinity());
  }
}

TEST_CASE("a range tells the finite elements from the others") {
  const Device device = Device::cpu({.threads = 1});
  CHECK(value_range("x", floats({-1, kNan, 2.5f, kInf}, {4}, device)).str() ==
        "x [4] in -1..2.5, 2 of 4 not finite");
  CHECK(value_range("x", floats({kNan}, {1}, device)).str() == "x [1], 1 of 1 not finite");
  CHECK(value_range("x", floats({3}, {}, device)).str() == "x [] in 3..3");
}

TEST_CASE("anomaly mode names the op, the tensor and the first bad index, forward") {
  for (const Device& device : devices()) {
    CAPTURE(device.name());
    const Tensor x = floats({1, 2, -0.5f, 3}, {2, 2}, device);
    const NonFinite bad = found([&](Tape& tape) { log(tape.leaf(x, nullptr, "weight")); });
    CHECK(bad.op == "log");
    CHECK(bad.tensor == "y");
    CHECK(bad.first.index == Shape{1, 0});
    CHECK(bad.str() == "log: y [2, 2] is nan at [1, 0]; from x (weight) [2, 2] in -0.5..3");
  }
}

TEST_CASE("anomaly mode names the op, the tensor and the first bad index, backward") {
  for (const Device& device : devices()) {
    CAPTURE(device.name());
    const Tensor x = floats({4, 0, 1}, {3}, device);  // the slope of a root is infinite at 0
    const NonFinite bad =
        found([&](Tape& tape) { tape.backward(sum(sqrt(tape.leaf(x, nullptr, "weight")))); });
    CHECK(bad.str() ==
          "sqrt: gradient of x (weight) [3] is inf at [1]; from gradient of y [3] in 1..1, y [3] in 0..2");
  }
}

TEST_CASE("of many operands of one kind anomaly mode counts those behind the first") {
  const Device device = Device::cpu({.threads = 1});
  const Tensor good = floats({1, 2}, {2}, device), bad = floats({3, kNan}, {2}, device);
  CHECK(found([&](Tape& tape) { concat({tape.leaf(bad), good}, 0); }).tensor == "x");
  CHECK(found([&](Tape& tape) {
          concat({tape.leaf(good), good, bad}, 0);
        }).str() ==
        "concat: x 2 [2] is nan at [1]; from x [2] in 1..2, x 1 [2] in 1..2, x 2 [2] in 3..3, 1 of 2 not "
        "finite");
}

TEST_CASE("a sum of gradients that overflows is found where it is used") {
  const Device device = Device::cpu({.threads = 1});
  const Tensor x = floats({1, 1}, {2}, device);
  const NonFinite bad = found([&](Tape& tape) {
    const Var y = affine(tape.leaf(x), 1.0, 0.0);
    const Tape::Root roots[] = {{y, floats({1, 3e38f}, {2}, device)}, {y, floats({1, 3e38f}, {2}, device)}};
    tape.backward(roots);
  });
  CHECK(bad.op == "affine");
  CHECK(bad.tensor == "gradient of y");
  CHECK(bad.first.index == Shape{1});
}

TEST_CASE("bad data and bad parameters are found at their first use, under the name of their module") {
  const Device device = Device::cpu({.threads = 1});
  nn::Sequential net;
  net.add_named<nn::Linear>("first", 2, 2, device);
  const auto set = [&](float value) {
    for (const auto& named : net.named_parameters()) named.parameter->value.fill(value);
  };
  set(0.5f);
  const Tensor planted = floats({1, 2, 3, kNan}, {2, 2}, device);
  NonFinite bad = found([&](Tape& tape) { net(tape.input(planted)); });
  CHECK(bad.module == "first");
  CHECK(bad.tensor == "a");
  CHECK(bad.first.index == Shape{1, 1});

  set(kNan);
  bad = found([&](Tape& tape) { net(tape.input(floats({1, 2}, {1, 2}, device))); });
  CHECK(bad.module == "first");
  CHECK(bad.tensor.find("first.weight") != std::string::npos);
  CHECK(bad.first.index == Shape{0, 0});
}

TEST_CASE("a target that is no number is found in the loss") {
  const Device device = Device::cpu({.threads = 1});
  const NonFinite bad = found([&](Tape& tape) {
    mse_loss(tape.leaf(floats({1, 2}, {2}, device)), floats({1, kNan}, {2}, device));
  });
  CHECK(bad.op == "mse_loss");
  CHECK(bad.tensor == "target");
  CHECK(bad.first.index == Shape{1});
}

TEST_CASE("without a bad number anomaly mode changes nothing") {
  const Device device = Device::cpu({.threads = 1});
  const Tensor x = floats({1, 2, 3}, {3}, device);
  std::vector<Floats> gradients;
  AnomalyCheck check;
  for (TapeObserver* observer : {static_cast<TapeObserver*>(nullptr), static_cast<TapeObserver*>(&check)}) {
    Tape tape({}, observer);
    const Var leaf = tape.leaf(x);
    tape.backward(sum(log(leaf)));
    gradients.push_back(tape.grad(leaf).to_vector<float>());
  }
  CHECK(gradients[0] == gradients[1]);
}
