// SPDX-License-Identifier: Apache-2.0
#include <doctest/doctest.h>

#include <cmath>
#include <limits>
#include <stdexcept>

#include "autograd/checkpoint.h"
#include "autograd/ops/elementwise.h"
#include "autograd/ops/reduce.h"
#include "nn/activation.h"
#include "nn/calibration_pass.h"
#include "nn/conv2d.h"
#include "nn/flatten.h"
#include "nn/init.h"
#include "nn/linear.h"
#include "nn/noise.h"
#include "nn/optim/sgd.h"
#include "nn/sequential.h"
#include "nn/time_batch_norm.h"
#include "tests/nn/expect.h"

using namespace fovea;
using namespace fovea::test;

namespace {

Tensor normals(const Shape& shape, std::uint64_t step, const Device& device, float mean = 0.0f,
               float sd = 1.0f) {
  return Tensor::normal(shape, {3, philox::stream_id("modes"), static_cast<std::uint32_t>(step), nullptr},
                        mean, sd, device);
}

/// conv, bn, relu, noise, linear: what trains and what differs in training.
class Net final : public nn::Module {
 public:
  explicit Net(const Device& device, float sigma = 0.0f)
      : conv(1, 3, 3, device), bn(3, device), noise(sigma), fc(12, 2, device) {
    add_child("conv", conv);
    add_child("bn", bn);
    add_child("noise", noise);
    add_child("fc", fc);
    nn::initialize(*this, 5);
  }
  Var forward(const Var& x) override { return fc(flatten_(relu_(noise(bn(conv(x)))))); }

  nn::Conv2d conv;
  nn::BatchNorm bn;
  nn::GaussianNoise noise;
  nn::Linear fc;

 private:
  nn::ReLU relu_;
  nn::Flatten flatten_;
};

Tensor batch(std::uint64_t k, const Device& device, std::int64_t size = 5) {
  return normals({size, 1, 4, 4}, k, device, static_cast<float>(k), 1.0f + static_cast<float>(k));
}

/// Mean and unbiased variance of each channel of [B, C, S].
struct Moments {
  std::vector<double> mean, var;
};
Moments moments_of(const Tensor& x) {
  const Floats v = values(x);
  const auto channels = static_cast<std::size_t>(x.shape()[1]), all = v.size();
  const auto inner = all / static_cast<std::size_t>(x.shape()[0]) / channels;
  const double count = static_cast<double>(all / channels);
  Moments m{std::vector<double>(channels), std::vector<double>(channels)};
  for (std::size_t i = 0; i < all; ++i) m.mean[i / inner % channels] += static_cast<double>(v[i]) / count;
  for (std::size_t i = 0; i < all; ++i)
    m.var[i / inner % channels] +=
        std::pow(static_cast<double>(v[i]) - m.mean[i / inner % channels], 2) / (count - 1);
  return m;
}

}  // namespace

TEST_CASE("a mode says whose statistics a batch norm uses, and whether they move") {
  for (const Device& device : both_devices()) {
    const Tensor x = normals({6, 2, 3}, 0, device, 5.0f, 2.0f);
    const auto made = [&](nn::BatchNormMode mode) {
      auto norm =
          std::make_unique<nn::BatchNorm>(2, device, nn::BatchNormOptions{.momentum = 0.5f, .mode = mode});
      nn::initialize(*norm, 0);
      norm->running_mean.fill(2.0);
      norm->running_var.fill(3.0);
      return norm;
    };
    const Floats before{2, 2};
    const auto follow = made(nn::BatchNormMode::follow), batch = made(nn::BatchNormMode::batch),
               frozen = made(nn::BatchNormMode::frozen);
    CHECK(follow->options().mode == nn::BatchNormOptions{}.mode);

    const Floats by_running = values((*frozen)(x));
    CHECK(values(frozen->running_mean) == before);
    frozen->eval();
    CHECK(values((*frozen)(x)) == by_running);
    follow->eval();
    batch->eval();
    CHECK(values((*follow)(x)) == by_running);
    const Floats by_batch = values((*batch)(x));
    CHECK(by_batch != by_running);
    CHECK(values(batch->running_mean) == before);
    CHECK(values(batch->running_var) == Floats{3, 3});

    follow->train();
    batch->train();
    CHECK(values((*follow)(x)) == by_batch);
    CHECK(values((*batch)(x)) == by_batch);
    CHECK(values(follow->running_mean) == values(batch->running_mean));
    CHECK(values(follow->running_mean) != before);
  }
}

TEST_CASE("a state holds no mode and no count: what was saved before there were modes loads") {
  const Device device = Device::cpu();
  nn::BatchNorm norm(2, device, {.mode = nn::BatchNormMode::calibrate});
  nn::initialize(norm, 0);
  norm(normals({4, 2}, 0, device));
  CHECK(state_names(norm) == Names{"bias", "running_mean", "running_var", "weight"});
  nn::BatchNorm other(2, device, {.mode = nn::BatchNormMode::frozen});
  other.load_state(norm.state());
  CHECK(other.mode() == nn::BatchNormMode::frozen);
  CHECK(values(other.running_var) == values(norm.running_var));
}

TEST_CASE("with frozen statistics train and eval give equal bits, and scale and shift still learn") {
  for (const Device& device : both_devices()) {
    Net net(device);
    net(batch(2, device));  // moves the running values off their start
    const Floats mean = values(net.bn.running_mean), var = values(net.bn.running_var);
    nn::set_mode(net, nn::BatchNormMode::frozen);
    const Tensor x = batch(1, device);
    Floats trained, evaluated;
    {
      Tape tape({.seed = 1});
      const Var y = net(tape.input(x));
      trained = values(y);
      tape.backward(sum(square(y)));
    }
    CHECK(net.bn.weight.grad.defined());
    CHECK(net.bn.bias.grad.defined());
    net.eval();
    evaluated = values(net(x));
    CHECK(trained == evaluated);
    CHECK(values(net.bn.running_mean) == mean);
    CHECK(values(net.bn.running_var) == var);

    nn::set_mode(net, nn::BatchNormMode::follow);
    net.train();
    Tape tape({.seed = 1});
    CHECK(values(net(tape.input(x))) != evaluated);
  }
}

TEST_CASE("a calibration averages the statistics of all batches and leaves them frozen") {
  for (const Device& device : both_devices()) {
    INFO(device.description());
    Net net(device, 0.5f);  // noise that eval() must have switched off: without a tape it would throw
    net.conv.eval();
    net.bn.running_mean.fill(std::numeric_limits<double>::quiet_NaN());
    const Floats weight = values(net.conv.weight.value);
    constexpr int kBatches = 7;
    std::vector<double> mean(3), var(3);
    {
      nn::CalibrationPass pass(net);
      CHECK_FALSE(net.training());
      CHECK(net.bn.mode() == nn::BatchNormMode::calibrate);
      for (int k = 0; k < kBatches; ++k) {
        const Tensor x =
            batch(static_cast<std::uint64_t>(k), device, k == 3 ? 2 : 5);  // each batch counts equally
        const Moments m = moments_of(net.conv(x).value());
        for (std::size_t c = 0; c < 3; ++c) {
          mean[c] += m.mean[c] / kBatches;
          var[c] += m.var[c] / kBatches;
        }
        net(x);
        CHECK(net.bn.batches() == k + 1);
      }
      pass.keep();
    }
    CHECK(net.training());
    CHECK_FALSE(net.conv.training());
    CHECK(net.bn.training());
    CHECK(net.bn.mode() == nn::BatchNormMode::frozen);
    CHECK(values(net.conv.weight.value) == weight);
    const Floats got_mean = values(net.bn.running_mean), got_var = values(net.bn.running_var);
    for (std::size_t c = 0; c < 3; ++c) {  // 7 batches cost some 7 roundings of 2^-24
      CHECK(static_cast<double>(got_mean[c]) == doctest::Approx(mean[c]).epsilon(1e-6));
      CHECK(static_cast<double>(got_var[c]) == doctest::Approx(var[c]).epsilon(1e-6));
    }
  }
}

TEST_CASE("a calibration that is not kept leaves no trace") {
  const Device device = Device::cpu();
  Net net(device);
  net(batch(3, device));
  net.bn.eval();
  nn::set_mode(net, nn::BatchNormMode::batch);
  const Floats mean = values(net.bn.running_mean), var = values(net.bn.running_var);
  const nn::State before = net.state();
  CHECK(message([&] {
          nn::CalibrationPass pass(net);
          net(batch(1, device));
          CHECK(values(net.bn.running_mean) != mean);
          throw std::runtime_error("the data ended");
        }) == "the data ended");
  CHECK(values(before.at("bn.running_mean")) == mean);
  CHECK(values(net.bn.running_mean) == mean);
  CHECK(values(net.bn.running_var) == var);
  CHECK(net.bn.mode() == nn::BatchNormMode::batch);
  CHECK(net.training());
  CHECK_FALSE(net.bn.training());

  CHECK(message([&] { nn::CalibrationPass(net).keep(); }) ==
        "calibration_pass: no batch has passed through any of the 1 batch norms");
  CHECK(values(net.bn.running_mean) == mean);

  // Of two, one that no batch reaches keeps what it had.
  nn::Sequential two;
  two.add<nn::BatchNorm>(2, device);
  two.add<nn::BatchNorm>(2, device);
  nn::initialize(two, 0);
  const nn::State shared = two.state();
  nn::CalibrationPass pass(two);
  two[0](normals({5, 2}, 0, device, 4.0f));
  pass.keep();
  CHECK(values(shared.at("0.running_mean")) == values(two.state().at("0.running_mean")));
  CHECK(values(two.state().at("0.running_mean")) != Floats{0, 0});
  CHECK(values(two.state().at("1.running_mean")) == Floats{0, 0});
  CHECK(nn::batch_norms(two)[1]->mode() == nn::BatchNormMode::frozen);
}

TEST_CASE("a batch that a checkpoint computes again is averaged once") {
  const Device device = Device::cpu();
  nn::BatchNorm norm(2, device, {.mode = nn::BatchNormMode::calibrate});
  nn::initialize(norm, 0);
  const Tensor x = normals({5, 2}, 0, device, 4.0f);
  Tape tape;
  const Var y = checkpoint([&](const Var& v) { return norm(v); }, tape.leaf(x));
  CHECK(norm.batches() == 1);
  const Floats mean = values(norm.running_mean);
  tape.backward(sum(square(y)));
  CHECK(norm.batches() == 1);
  CHECK(values(norm.running_mean) == mean);
  norm.set_mode(nn::BatchNormMode::calibrate);
  CHECK(norm.batches() == 0);
}

TEST_CASE("each time step has a batch norm of its own, and later ones share the last") {
  const Device device = Device::cpu();
  nn::Sequential net;
  auto& norm = net.add_named<nn::TimeBatchNorm>("bn", 2, 3, device);
  nn::initialize(net, 0);
  nn::TimeBatchNorm silent(2, 3, device, {.eps = 1e-5f, .momentum = 0.1f, .initial_weight = 0.0f});
  nn::initialize(silent, 0);
  CHECK(values(silent(normals({5, 3}, 0, device), 1)) == Floats(15, 0.0f));
  CHECK(norm.steps() == 2);
  CHECK(net.parameter_count() == 12);
  CHECK(state_names(net) == Names{"bn.0.bias", "bn.0.running_mean", "bn.0.running_var", "bn.0.weight",
                                  "bn.1.bias", "bn.1.running_mean", "bn.1.running_var", "bn.1.weight"});
  const Tensor x = normals({5, 3, 2}, 0, device, 4.0f);
  norm(x, 0);
  CHECK(values(norm[0].running_mean) != Floats{0, 0, 0});
  CHECK(values(norm[1].running_mean) == Floats{0, 0, 0});
  norm(x, 7);
  CHECK(values(norm[1].running_mean) == values(norm[0].running_mean));
  norm[0].bias.value.fill(1.0);
  net.eval();
  const Floats first = values(norm(x, 0)), last = values(norm(x, 1));
  for (std::size_t i = 0; i < first.size(); ++i) CHECK(first[i] == doctest::Approx(last[i] + 1.0f));
  nn::set_mode(net, nn::BatchNormMode::frozen);
  CHECK(norm[1].mode() == nn::BatchNormMode::frozen);

  CHECK(message([&] { norm(x, -1); }) == "time_batch_norm 'bn': time step -1 is below 0");
  CHECK(message([&] { net(x); }) ==
        "time_batch_norm 'bn': x [5, 3, 2] comes without a time step; call it with (x, t)");
  CHECK(message([&] { nn::TimeBatchNorm(0, 3, device); }) ==
        "time_batch_norm: steps must be at least 1, got 0");
  CHECK(message([&] {
          norm(normals({5, 2}, 0, device), 9);
        }) == "batch_norm 'bn.1': x [5, 2] does not have the 3 channels that its statistics are for");
}

TEST_CASE("train, eval, freezing and modes reach a part alone, until something above is set") {
  const Device device = Device::cpu();
  nn::Sequential net;
  auto& body = net.add_named<Net>("body", device);
  auto& head = net.add_named<nn::Linear>("head", 2, 2, device);
  nn::initialize(net, 1);
  CHECK(net.modules().size() == 7);
  CHECK(net.modules()[0] == &net);
  CHECK(net.modules()[1] == &body);

  body.eval();
  CHECK(net.training());
  CHECK_FALSE(body.bn.training());
  CHECK(head.training());
  head.train();
  CHECK_FALSE(body.training());

  body.set_trainable(false);
  CHECK_FALSE(body.bn.weight.trainable);
  CHECK(head.weight.trainable);
  head.set_trainable(true);
  CHECK_FALSE(body.conv.weight.trainable);
  nn::set_mode(body, nn::BatchNormMode::frozen);

  // A frozen part: no bit of its state moves in a step of training, though train() was called on all.
  net.train();
  CHECK_FALSE(body.conv.weight.trainable);
  CHECK(body.bn.mode() == nn::BatchNormMode::frozen);
  std::vector<Floats> before;
  for (const auto& [name, tensor] : body.state()) before.push_back(values(tensor));
  const Floats head_before = values(head.weight.value);
  auto optimizer = nn::sgd({{net.named_parameters()}}, 0.1);
  optimizer.zero_grad();
  Tape tape({.seed = 1});
  tape.backward(sum(square(net(tape.input(batch(1, device))))));
  optimizer.step();
  std::vector<Floats> after;
  for (const auto& [name, tensor] : body.state()) after.push_back(values(tensor));
  CHECK(after == before);
  CHECK(values(head.weight.value) != head_before);

  net.set_trainable(true);
  CHECK(body.bn.weight.trainable);
}
