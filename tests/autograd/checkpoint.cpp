// SPDX-License-Identifier: Apache-2.0
#include "autograd/checkpoint.h"

#include <doctest/doctest.h>

#include <memory>

#include "autograd/ops/batch_norm.h"
#include "autograd/ops/elementwise.h"
#include "autograd/ops/noise.h"
#include "nn/batch_norm.h"
#include "nn/conv2d.h"
#include "nn/init.h"
#include "nn/noise.h"
#include "nn/sequential.h"
#include "tests/host.h"
#include "tests/nn/expect.h"

using namespace fovea;
using namespace fovea::test;

namespace {

constexpr int kBlocks = 6;

/// conv → batch norm → noise → relu, and a sum with what came in.
class Block final : public nn::Module {
 public:
  explicit Block(const Device& device)
      : conv_(4, 4, 3, device, {.padding = 1}), norm_(4, device), noise_(0.1f) {
    add_child("conv", conv_);
    add_child("norm", norm_);
    add_child("noise", noise_);
  }
  Var forward(const Var& x) override { return x + relu(noise_(norm_(conv_(x)))); }

 private:
  nn::Conv2d conv_;
  nn::BatchNorm norm_;
  nn::GaussianNoise noise_;
};

class Stack final : public nn::Module {
 public:
  Stack(const Device& device, bool checkpoints, bool nested = false)
      : checkpoints_(checkpoints), nested_(nested) {
    for (int i = 0; i < kBlocks; ++i) {
      blocks_.push_back(std::make_unique<Block>(device));
      add_child("block" + std::to_string(i), *blocks_.back());
    }
    nn::initialize(*this, 3);
  }
  Var forward(const Var& x) override {
    Var h = x;
    if (nested_)
      return checkpoint(
          [this](const Var& in) {
            Var y = in;
            for (const auto& block : blocks_)
              y = checkpoint([&block](const Var& z) { return (*block)(z); }, y);
            return y;
          },
          h);
    for (const auto& block : blocks_)
      h = checkpoints_ ? checkpoint([&block](const Var& in) { return (*block)(in); }, h) : (*block)(h);
    return h;
  }

 private:
  bool checkpoints_, nested_;
  std::vector<std::unique_ptr<Block>> blocks_;
};

struct Step {
  std::vector<Floats> numbers;  // loss, slope of x, slopes of parameters, buffers
  std::size_t kept = 0, peak = 0;
};

Step step(bool checkpoints, bool nested, const Device& device) {
  Stack stack(device, checkpoints, nested);
  const Tensor x = Tensor::normal({8, 4, 32, 32}, {5, 1, 2}, 0, 1, device);
  Step result;
  const std::size_t before = device.arena().stats().live_bytes;
  Tape tape({.seed = 9, .step = 4});
  const Var leaf = tape.leaf(x);
  const Var loss = mean(square(stack(leaf)));
  result.kept = device.arena().stats().live_bytes - before;
  device.arena().reset_peak();
  tape.backward(loss);
  result.peak = device.arena().stats().peak_bytes - before;
  result.numbers.push_back(loss.value().to_vector<float>());
  result.numbers.push_back(tape.grad(leaf).to_vector<float>());
  for (const auto& [name, parameter] : stack.named_parameters())
    result.numbers.push_back(parameter->grad.to_vector<float>());
  for (const auto& [name, buffer] : stack.named_buffers())
    result.numbers.push_back(buffer->to_vector<float>());
  return result;
}

Tensor vector(const Floats& values) {
  return floats(values, {static_cast<std::int64_t>(values.size())}, host());
}

}  // namespace

TEST_CASE("a checkpoint changes no bit of loss, gradients and running statistics, and keeps less") {
  const Device device = Device::cpu({.threads = 2});
  const Step plain = step(false, false, device), saved = step(true, false, device),
             nested = step(true, true, device);
  CHECK(saved.numbers == plain.numbers);
  CHECK(nested.numbers == plain.numbers);

  // One map is 8·4·32·32 floats, and the first was there before. A block keeps the results of conv (for the norm),
  // of relu and of the sum (for the next conv, or the loss); a checkpoint only the latter. What is left is small:
  // statistics and the loss.
  constexpr double kMap = 8 * 4 * 32 * 32 * 4;
  CHECK(static_cast<double>(plain.kept) / kMap == doctest::Approx(3 * kBlocks).epsilon(0.001));
  CHECK(static_cast<double>(saved.kept) / kMap == doctest::Approx(kBlocks).epsilon(0.001));
  CHECK(static_cast<double>(nested.kept) / kMap == doctest::Approx(1).epsilon(0.001));
  CHECK(saved.peak < 0.65 * static_cast<double>(plain.peak));
}

TEST_CASE("a Sequential of checkpoints gives the bits of one without") {
  const auto slopes = [](bool checkpoints) {
    nn::Sequential net;
    net.add<Block>(host());
    net.add<Block>(host());
    nn::initialize(net, 3);
    net.set_checkpoints(checkpoints);
    Tape tape({.seed = 9, .step = 4});
    tape.backward(mean(square(net(tape.input(Tensor::normal({2, 4, 6, 6}, {5, 1, 2}, 0, 1, host()))))));
    Floats all;
    for (const auto& [name, parameter] : net.named_parameters())
      for (const float v : parameter->grad.to_vector<float>()) all.push_back(v);
    return all;
  };
  CHECK(slopes(true) == slopes(false));
}

TEST_CASE("a parameter that is used inside and outside of checkpoints gets one sum, in one order") {
  const auto slope = [](bool checkpoints) {
    Tensor grad;
    const Tensor w = vector({0.3f, 0.7f, -1.1f});
    Tape tape;
    const Var x = tape.leaf(vector({1.3f, -0.2f, 2.1f}));
    const auto f = [&](const Var& in) {
      const Var v = in.tape()->leaf(w, &grad);
      return exp(in * v) + v * v;
    };
    Var h = x;
    for (int i = 0; i < 4; ++i) h = checkpoints && i % 2 == 0 ? checkpoint(f, h) : f(h);
    tape.backward(sum(h));
    Floats all = grad.to_vector<float>();
    for (const float v : tape.grad(x).to_vector<float>()) all.push_back(v);
    return all;
  };
  CHECK(slope(true) == slope(false));
}

TEST_CASE("backward with keep computes a checkpoint again each time") {
  Tape tape;
  const Var x = tape.leaf(vector({3}));
  int calls = 0;
  const Var y = checkpoint([&calls](const Var& in) { return ++calls, square(in); }, x);
  const Var loss = sum(y);
  CHECK(calls == 1);
  tape.backward(loss, true);
  CHECK(tape.size() == 2);
  tape.backward(loss, true);
  CHECK(calls == 3);
  CHECK(tape.grad(x).to_vector<float>() == Floats{6});
  tape.backward(loss);
  CHECK(tape.size() == 0);
  CHECK(tape.grad(x).to_vector<float>() == Floats{6});
}

TEST_CASE("where nothing has to be recorded a checkpoint is a call") {
  int calls = 0;
  const auto f = [&calls](const Var& in) { return ++calls, square(in); };
  CHECK(checkpoint(f, Var(vector({3}))).tape() == nullptr);
  Tape tape;
  const Var data = checkpoint(f, tape.input(vector({3})));
  CHECK(data.tape() == &tape);
  CHECK_FALSE(data.needs_grad());
  {
    const auto guard = tape.no_grad();
    CHECK_FALSE(checkpoint(f, tape.leaf(vector({3}))).needs_grad());
  }
  CHECK(tape.size() == 0);
  CHECK(calls == 3);

  // Only a parameter inside wants a slope.
  Tensor grad;
  const Tensor w = vector({5});
  const Var y =
      checkpoint([&](const Var& in) { return in * in.tape()->leaf(w, &grad); }, tape.input(vector({3})));
  CHECK(y.needs_grad());
  tape.backward(sum(y));
  CHECK(grad.to_vector<float>() == Floats{3});

  // f that gives its input back, and one that cuts the slope.
  const Var x = tape.leaf(vector({2}));
  tape.backward(sum(checkpoint([](const Var& in) { return in; }, x)));
  CHECK(tape.grad(x).to_vector<float>() == Floats{1});
  tape.backward(sum(checkpoint([](const Var& in) { return detach(in); }, x)));
  CHECK_FALSE(tape.grad(x).defined());
}

TEST_CASE("several inputs, and the name of the module") {
  Tape tape;
  const Var a = tape.leaf(vector({2})), b = tape.leaf(vector({5}));
  Var y;
  {
    const Tape::Scope scope(&tape, "block");
    y = checkpoint([](const Var& p, const Var& q) { return p * q; }, a, b);
  }
  CHECK(tape.str() == "%2 = checkpoint(0, 1) -> [1]\n");
  CHECK(tape.records()[0].module == "block");
  CHECK(tape.records()[0].where.str().starts_with("autograd/checkpoint.h:"));
  tape.backward(sum(y));
  CHECK(tape.grad(a).to_vector<float>() == Floats{5});
  CHECK(tape.grad(b).to_vector<float>() == Floats{2});
  CHECK_FALSE(tape.replaying());
}

TEST_CASE("an error while a checkpoint is computed again leaves the flags as they were") {
  Tape tape;
  const Var x = tape.leaf(vector({2}));
  int calls = 0;
  const Var y = checkpoint(
      [&calls](const Var& in) {
        if (++calls == 2) reject<ValueError>("f", "no");
        return square(in);
      },
      x);
  CHECK(message([&] { tape.backward(sum(y)); }) == "f: no");
  CHECK_FALSE(tape.replaying());
}
