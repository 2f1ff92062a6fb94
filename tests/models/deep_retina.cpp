// SPDX-License-Identifier: Apache-2.0
#include "models/retina/deep_retina.h"

#include <doctest/doctest.h>

#include <algorithm>
#include <cmath>

#include "models/retina/linear_nonlinear.h"
#include "nn/init.h"
#include "nn/loss.h"
#include "nn/optim/adam.h"
#include "nn/optim/sgd.h"
#include "tensor/views.h"
#include "tests/nn/expect.h"

using namespace fovea;
using namespace fovea::retina;
using namespace fovea::test;

namespace {

const Device& host() {
  static const Device device = Device::cpu({.threads = 2});
  return device;
}

DeepRetinaOptions small(Norm norm = Norm::per_unit) {
  return {.cells = 3, .history = 4, .size = 20, .channels = {4, 4}, .kernels = {5, 3}, .norm = norm};
}

Tensor normals(const Shape& shape, const Device& device) {
  return Tensor::normal(shape, {5, philox::stream_id("deep_retina"), 0, nullptr}, 0, 1, device);
}
Tensor rates(const Shape& shape, const Device& device) {
  return Tensor::uniform(shape, {5, philox::stream_id("rates"), 0, nullptr}, 0, 20, device);
}

std::vector<std::string> names(const nn::Module& model) {
  std::vector<std::string> all;
  for (const auto& named : model.named_parameters()) all.push_back(named.name);
  return all;
}

Floats forward(nn::Module& model, const Var& x) { return model(x).value().to_vector<float>(); }

/// Forward, loss, backward.
double backward(nn::Module& model, const Tensor& x, const Tensor& target, std::uint32_t step = 0) {
  Tape tape({.seed = 1, .step = step});
  const Var loss = nn::PoissonLoss{}(model(tape.input(x)), target);
  tape.backward(loss);
  return loss.value().item();
}

}  // namespace

TEST_CASE("the published networks have the published numbers of parameters") {
  const DeepRetina bn(bn_cnn(5), host());
  CHECK(bn.parameter_count() == 138362);
  CHECK(names(bn) == std::vector<std::string>{"conv1.weight", "conv1.bias", "bn1.weight", "bn1.bias",
                                              "conv2.weight", "conv2.bias", "bn2.weight", "bn2.bias",
                                              "readout.weight", "bn3.weight", "bn3.bias"});
  const DeepRetina nips(nips_2016(5), host());
  CHECK(nips.parameter_count() == 185757);
  CHECK(names(nips) == std::vector<std::string>{"conv1.weight", "conv1.bias", "conv2.weight", "conv2.bias",
                                                "readout.weight", "readout.bias"});
  CHECK(nips.options().noise == 0.1f);
}

TEST_CASE("deep retina gives one rate a cell, none below zero") {
  for (const Norm norm : {Norm::per_unit, Norm::per_channel, Norm::none}) {
    DeepRetina model(small(norm), host());
    nn::initialize(model, 1);
    model.eval();
    const Tensor x = normals({6, 4, 20, 20}, host());
    const Var rate = model(x);
    CHECK(rate.shape() == Shape{6, 3});
    const Floats values = rate.value().to_vector<float>();
    CHECK(std::all_of(values.begin(), values.end(), [](float r) { return r >= 0 && std::isfinite(r); }));
    const Floats drive = model.drive(x).value().to_vector<float>();
    for (std::size_t i = 0; i < drive.size(); ++i)
      CHECK(values[i] == doctest::Approx(std::log1p(std::exp(drive[i]))).epsilon(1e-5));
  }
  DeepRetina published(bn_cnn(5), host());
  nn::initialize(published, 1);
  published.eval();
  CHECK(published(normals({2, 40, 50, 50}, host())).shape() == Shape{2, 5});
}

TEST_CASE("a gradient reaches every parameter of deep retina") {
  for (const Norm norm : {Norm::per_unit, Norm::none}) {
    DeepRetina model(small(norm), host());
    nn::initialize(model, 1);
    backward(model, normals({8, 4, 20, 20}, host()), rates({8, 3}, host()));
    for (const auto& [key, parameter] : model.named_parameters()) {
      const std::string& name = key;  // clang 14 captures no structured binding
      CAPTURE(name);
      REQUIRE(parameter->grad.defined());
      CHECK(parameter->grad.shape() == parameter->value.shape());
      const Floats slope = parameter->grad.to_vector<float>();
      CHECK(std::all_of(slope.begin(), slope.end(), [](float s) { return std::isfinite(s); }));
      // A bias before a normalisation cancels, so its slope is only rounding: it need not differ from zero.
      const bool cancels = norm != Norm::none && name.find("conv") == 0 && name.ends_with("bias");
      CHECK((cancels || std::any_of(slope.begin(), slope.end(), [](float s) { return s != 0; })));
    }
  }
}

TEST_CASE("training never computes the gradient of the stimulus") {
  DeepRetina model(small(), Device::simt());
  nn::initialize(model, 1);
  const Device& device = model.named_parameters()[0].parameter->value.device();
  const Tensor x = normals({2, 4, 20, 20}, device), target = rates({2, 3}, device);
  auto& grid = std::get<std::reference_wrapper<simt::Grid>>(device.queue()).get();
  const auto launches = [&](bool wanted) {
    Tape tape({.seed = 1});
    const Var in = wanted ? tape.leaf(x) : tape.input(x);
    const Var loss = nn::PoissonLoss{}(model(in), target);
    CHECK(tape.str().starts_with(wanted ? "%3 = conv2d(0, " : "%2 = conv2d(-1, "));
    model.zero_grad();
    grid.reset_launches();
    tape.backward(loss);
    return grid.launches();
  };
  CHECK(launches(true) > launches(false));
}

TEST_CASE("inference is deterministic, training noise follows seed and step") {
  DeepRetina model(small(), host());
  nn::initialize(model, 1);
  const Tensor x = normals({4, 4, 20, 20}, host());
  const auto train = [&](std::uint64_t seed, std::uint32_t step) {
    Tape tape({.seed = seed, .step = step});
    return forward(model, tape.input(x));
  };
  CHECK(train(1, 0) == train(1, 0));
  CHECK(train(1, 0) != train(1, 1));
  CHECK(train(1, 0) != train(2, 0));
  model.eval();
  CHECK(forward(model, x) == forward(model, x));
  CHECK(train(1, 0) == train(2, 1));
  CHECK(train(1, 0) == forward(model, x));
}

TEST_CASE("a rolling view of a movie gives the bits of its copy") {
  for (const Device& device : {host(), both_devices()[1]}) {
    DeepRetina model(small(), device);
    nn::initialize(model, 1);
    const Tensor movie = normals({7, 20, 20}, device);
    const Tensor windows = rolling_window(movie, 4), copies = windows.contiguous();
    REQUIRE_FALSE(windows.is_contiguous());
    REQUIRE(windows.shape() == Shape{4, 4, 20, 20});
    const Tensor target = rates({4, 3}, device);
    const double loss = backward(model, windows, target);
    std::vector<Floats> gradients;
    for (const auto& named : model.named_parameters())
      gradients.push_back(named.parameter->grad.to_vector<float>());
    model.zero_grad();
    CHECK(backward(model, copies, target) == loss);
    for (std::size_t i = 0; i < gradients.size(); ++i)
      CHECK(model.named_parameters()[i].parameter->grad.to_vector<float>() == gradients[i]);
    model.eval();
    CHECK(forward(model, windows) == forward(model, copies));
  }
}

TEST_CASE("what deep retina refuses") {
  CHECK(message([] {
          DeepRetina({.size = 24, .kernels = {15, 11}}, host());
        }) == "deep retina: kernels of 15 and 11 do not fit into a stimulus of 24 × 24");
  CHECK(message([] {
          DeepRetina({.size = 9, .kernels = {15, 11}}, host());
        }) == "deep retina: kernels of 15 and 11 do not fit into a stimulus of 9 × 9");
  DeepRetina smallest({.size = 25, .kernels = {15, 11}}, host());  // maps of one pixel
  nn::initialize(smallest, 1);
  smallest.eval();
  CHECK(smallest(normals({1, 40, 25, 25}, host())).shape() == Shape{1, 5});

  DeepRetina model(small(), host());
  nn::initialize(model, 1);
  model.eval();
  CHECK(message([&] {
          model(normals({2, 5, 20, 20}, host()));
        }).starts_with("conv2d 'conv1': x [2, 5, 20, 20] is not [B, 4, H, W]"));
  CHECK(message([&] {
          model(normals({2, 4, 21, 20}, host()));
        }).find("[2, 4, 21, 20]") == std::string::npos);  // the layer that notices shows its own input
  CHECK(message([&] { model(normals({2, 4, 21, 20}, host())); }) != "nothing was thrown");
}

TEST_CASE("three steps of training agree between cpu and emulation") {
  std::vector<double> losses[2];
  const Device devices[] = {host(), both_devices()[1]};
  for (int k = 0; k < 2; ++k) {
    DeepRetina model(small(), devices[k]);
    nn::initialize(model, 1);
    nn::Optimizer optimizer = nn::sgd({nn::all_parameters(model)}, 1e-3);
    const Tensor x = normals({6, 4, 20, 20}, devices[k]), target = rates({6, 3}, devices[k]);
    for (std::uint32_t step = 0; step < 4; ++step) {
      losses[k].push_back(backward(model, x, target, step));
      optimizer.step();
      optimizer.zero_grad();
    }
  }
  CHECK(losses[0][3] != losses[0][0]);
  for (std::size_t step = 0; step < 4; ++step) {
    CAPTURE(step);
    CHECK(std::abs(losses[0][step] - losses[1][step]) <= 1e-5 * std::abs(losses[0][step]));
  }
}

TEST_CASE("deep retina learns ten samples") {
  DeepRetina model(small(), host());
  nn::initialize(model, 1, {.weights = nn::init::xavier_uniform(), .biases = nn::init::constant(0)});
  nn::Optimizer optimizer = nn::adam({nn::all_parameters(model)}, 3e-2);
  const Tensor x = normals({10, 4, 20, 20}, host()), target = rates({10, 3}, host());
  double first = 0, last = 0, perfect = 0;
  for (std::uint32_t step = 0; step < 300; ++step) {
    last = backward(model, x, target, step);
    if (step == 0) first = last;
    optimizer.step();
    optimizer.zero_grad();
  }
  for (const float r : target.to_vector<float>()) perfect += (r - r * std::log(r)) / 30;
  CHECK(first > last);
  CHECK(last > perfect - 1e-4);  // no rate scores better than the target itself
  CHECK(last - perfect < 0.1 * (first - perfect));
}

TEST_CASE("after its second step, training takes no more memory from the system") {
#if !defined(__SANITIZE_ADDRESS__)  // there every block is its own
  DeepRetina model(bn_cnn(5), host());
  nn::initialize(model, 1);
  nn::Optimizer optimizer = nn::adam({nn::all_parameters(model)}, 1e-3);
  const Tensor x = normals({6, 40, 50, 50}, host()), target = rates({6, 5}, host());
  std::int64_t taken = 0;
  for (std::uint32_t step = 0; step < 5; ++step) {
    (void)backward(model, x, target, step);
    optimizer.step();
    optimizer.zero_grad();
    const std::int64_t calls = host().arena().stats().source_calls;
    if (step < 2) taken = calls;
    CHECK(calls == taken);
  }
#endif
}

TEST_CASE("the LN model starts from nothing") {
  LinearNonlinear model({.cells = 3, .history = 4, .size = 10}, host());
  nn::initialize(model, 1);
  CHECK(names(model) == std::vector<std::string>{"filter.weight", "filter.bias"});
  CHECK(model.parameter_count() == 3 * 4 * 100 + 3);
  CHECK(model.filter().weight.value.shape() == Shape{3, 400});
  const Tensor x = normals({5, 4, 10, 10}, host());
  const Floats drive = model.drive(x).value().to_vector<float>();
  CHECK(drive == Floats(15, 0.0f));
  const Var rate = model(x);
  CHECK(rate.shape() == Shape{5, 3});
  for (const float r : rate.value().to_vector<float>()) CHECK(r == doctest::Approx(std::log(2)));
}

TEST_CASE("the LN model filters a window: its bits are those of a copy, and it learns") {
  LinearNonlinear model({.cells = 1, .history = 2, .size = 2}, host());
  model.filter().weight.value.copy_from(floats({1, 2, 3, 4, 10, 20, 30, 40}, {1, 8}, host()));
  model.filter().bias.value.fill(0.5);
  const Tensor movie = floats({1, 0, 0, 0, 0, 1, 0, 0, 0, 0, 0, 1}, {3, 2, 2}, host());
  const Tensor windows = rolling_window(movie, 2);
  CHECK(model.drive(windows).value().to_vector<float>() == Floats{1 + 20 + 0.5f, 2 + 40 + 0.5f});
  CHECK(forward(model, windows) == forward(model, windows.contiguous()));

  LinearNonlinear fresh({.cells = 3, .history = 4, .size = 10}, host());
  nn::initialize(fresh, 1);
  nn::Optimizer optimizer = nn::sgd({nn::all_parameters(fresh)}, 1e-3);
  const Tensor x = normals({10, 4, 10, 10}, host()), target = rates({10, 3}, host());
  const double first = backward(fresh, x, target);
  optimizer.step();
  optimizer.zero_grad();
  CHECK(backward(fresh, x, target) < first);
}
