// SPDX-License-Identifier: Apache-2.0
#include <doctest/doctest.h>

#include <cmath>
#include <cstring>
#include <map>
#include <string>

#include "autograd/ops/elementwise.h"
#include "nn/activation.h"
#include "nn/init.h"
#include "nn/linear.h"
#include "nn/loss.h"
#include "nn/noise.h"
#include "nn/optim/adam.h"
#include "nn/optim/rmsprop.h"
#include "nn/optim/sgd.h"
#include "nn/sequential.h"
#include "tests/nn/fit.h"

using namespace fovea;
using namespace fovea::test;

namespace {

/// A parameter by itself.
class Point final : public nn::Module {
 public:
  Point(const Floats& at, const Device& device) {
    add_parameter("at", at_, nn::Role::weight, {static_cast<std::int64_t>(at.size())}, device,
                  nn::init::constant(0.0f));
    at_.value.copy_from(floats(at, at_.value.shape(), device));
  }
  Var forward(const Var& x) override { return add(x, on_tape(at_, x)); }

  nn::Parameter& operator*() { return at_; }
  Floats at() const { return at_.value.to_vector<float>(); }
  void set_gradient(const Floats& gradient) {
    at_.grad = floats(gradient, at_.value.shape(), at_.value.device());
  }

 private:
  nn::Parameter at_;
};

/// mean((at - goal)²); one step down its slope.
double descend(Point& point, const Floats& goal, nn::Optimizer& optimizer) {
  optimizer.zero_grad();
  Tape tape;
  const Device& device = (*point).value.device();
  const Tensor zero = Tensor::zeros((*point).value.shape(), DType::f32, device);
  const Var loss = nn::MseLoss{}(point(tape.input(zero)), floats(goal, zero.shape(), device));
  tape.backward(loss);
  optimizer.step();
  return loss.value().item();
}

}  // namespace

TEST_CASE("sgd by hand: plain, with momentum, with weight decay and a scaled rate") {
  for (const Device& device : both_devices()) {
    Point plain({1, 2}, device);
    nn::Optimizer a = nn::sgd({nn::all_parameters(plain)}, 0.5);
    plain.set_gradient({2, -4});
    a.step();
    CHECK(plain.at() == Floats{0, 4});

    Point heavy({0}, device);
    nn::Optimizer b = nn::sgd({nn::all_parameters(heavy)}, 1.0, {.momentum = 0.5f});
    heavy.set_gradient({1});
    Floats path;
    for (int i = 0; i < 3; ++i) {
      b.step();
      path.push_back(heavy.at()[0]);
    }
    CHECK(path == Floats{-1, -2.5, -4.25});  // the buffer goes 1, 1.5, 1.75

    Point decayed({8}, device);
    nn::ParameterGroup group = nn::all_parameters(decayed, 0.25);
    group.lr_scale = 0.5;
    nn::Optimizer c = nn::sgd({group}, 0.5);
    decayed.set_gradient({2});
    c.step();
    CHECK(decayed.at() == Floats{7});  // 8 - 0.25·(2 + 0.25·8)
  }
}

TEST_CASE("adam by hand: the first step is lr in the direction of the slope, the third follows the formula") {
  for (const Device& device : both_devices()) {
    Point point({1, -1, 5}, device);
    nn::Optimizer adam = nn::adam({nn::all_parameters(point)}, 0.1);
    double value = 1, m = 0, v = 0;
    const double gradients[] = {3, -1, 0.5};
    for (int t = 1; t <= 3; ++t) {
      const double g = gradients[t - 1];
      point.set_gradient({static_cast<float>(g), static_cast<float>(-g), 0});
      adam.step();
      m = 0.9 * m + 0.1 * g;
      v = 0.999 * v + 0.001 * g * g;
      value -= 0.1 * (m / (1 - std::pow(0.9, t))) / (std::sqrt(v / (1 - std::pow(0.999, t))) + 1e-8);
      CHECK(point.at()[0] == doctest::Approx(value).epsilon(1e-6));
      CHECK(point.at()[1] == doctest::Approx(-value).epsilon(1e-6));
      CHECK(point.at()[2] == 5.0f);
      if (t == 1) CHECK(point.at()[0] == doctest::Approx(0.9));
    }
    CHECK(adam.steps() == 3);
  }
}

TEST_CASE("nesterov by hand: the step looks one momentum ahead") {
  for (const Device& device : both_devices()) {
    Point point({0}, device);
    nn::Optimizer sgd = nn::sgd({nn::all_parameters(point)}, 1.0, {.momentum = 0.5f, .nesterov = true});
    point.set_gradient({1});
    Floats path;
    for (int i = 0; i < 3; ++i) {
      sgd.step();
      path.push_back(point.at()[0]);
    }
    CHECK(path == Floats{-1.5, -3.25, -5.125});  // the buffer goes 1, 1.5, 1.75; a step is 1 + buffer/2
  }
}

TEST_CASE("adamw by hand: the decay leaves the moments alone") {
  for (const Device& device : both_devices()) {
    Point point({8, 8}, device);
    nn::Optimizer adamw = nn::adamw({nn::all_parameters(point, 0.5)}, 0.25);
    point.set_gradient({3, 0});
    adamw.step();
    CHECK(point.at()[0] == doctest::Approx(8 * (1 - 0.125) - 0.25));  // the first step is lr
    CHECK(point.at()[1] == 7.0f);
    CHECK(adamw.state().at("moment1/at").to_vector<float>()[1] == 0.0f);
    CHECK(std::string(adamw.name()) == "adamw");
  }
}

TEST_CASE("rmsprop by hand: plain, with momentum, centered") {
  for (const Device& device : both_devices()) {
    const auto after = [&](RmspropOptions options, int steps) {
      options.eps = 1.0f;
      options.alpha = 0.75f;
      Point point({0}, device);
      nn::Optimizer rmsprop = nn::rmsprop({nn::all_parameters(point)}, 1.0, options);
      point.set_gradient({2});
      for (int i = 0; i < steps; ++i) rmsprop.step();
      return point.at()[0];
    };
    const double second = 2 / (std::sqrt(0.75 + 1) + 1);  // v goes 1, 1.75
    CHECK(after({}, 1) == -1.0f);
    CHECK(after({}, 2) == doctest::Approx(-1 - second));
    CHECK(after({.momentum = 0.5f}, 2) == doctest::Approx(-1 - (0.5 + second)));
    CHECK(after({.centered = true}, 1) == doctest::Approx(-2 / (std::sqrt(0.75) + 1)));  // the mean is 0.5
  }
}

TEST_CASE("adam and sgd reach the bottom of a quadratic bowl") {
  const Device device = Device::cpu();
  const Floats goal{1, -2, 0.5};
  const auto reaches = [&](auto make) {
    Point point({4, 4, 4}, device);
    nn::Optimizer optimizer = make(point);
    double loss = 0;
    for (int i = 0; i < 400; ++i) loss = descend(point, goal, optimizer);
    for (std::size_t k = 0; k < 3; ++k) CHECK(point.at()[k] == doctest::Approx(goal[k]).epsilon(1e-3));
    CHECK(loss < 1e-6);
  };
  reaches([](Point& p) { return nn::adam({nn::all_parameters(p)}, 0.1); });
  reaches([](Point& p) { return nn::sgd({nn::all_parameters(p)}, 0.1); });
  reaches([](Point& p) { return nn::sgd({nn::all_parameters(p)}, 0.05, {.momentum = 0.8f}); });
  reaches([](Point& p) { return nn::adamw({nn::all_parameters(p)}, 0.1); });
  reaches(
      [](Point& p) { return nn::sgd({nn::all_parameters(p)}, 0.05, {.momentum = 0.8f, .nesterov = true}); });
  reaches([](Point& p) { return nn::rmsprop({nn::all_parameters(p)}, 0.1, {.eps = 1.0f}); });
}

TEST_CASE("an optimizer continues bit for bit from its state") {
  const Device device = Device::cpu();
  const Floats goal{1, -2, 0.5};
  const auto make = [](Point& p) {
    nn::ParameterGroup group = nn::all_parameters(p, 0.01);
    return nn::adam({group}, 0.1);
  };
  Point whole({4, 4, 4}, device), part({4, 4, 4}, device);
  nn::Optimizer a = make(whole), b = make(part);
  for (int i = 0; i < 9; ++i) descend(whole, goal, a);
  for (int i = 0; i < 5; ++i) descend(part, goal, b);
  b.set_lr(0.1);
  nn::State saved;
  for (const auto& [name, tensor] : b.state()) saved[name] = tensor.clone();
  CHECK(saved.size() == 4);
  CHECK(saved.contains("moment1/at"));
  CHECK(saved.contains("moment2/at"));
  Point resumed({0, 0, 0}, device);
  resumed.load_state(part.state());
  nn::Optimizer c = nn::adam({nn::all_parameters(resumed, 0.01)}, 99.0);
  c.load_state(saved);
  CHECK(c.steps() == 5);
  CHECK(c.lr() == 0.1);
  for (int i = 0; i < 4; ++i) descend(resumed, goal, c);
  CHECK(resumed.at() == whole.at());
  saved.erase("lr");
  CHECK(message([&] { c.load_state(saved); }) == "adam: 'lr' [] is missing");
}

TEST_CASE("an optimizer that has stopped changes nothing until it is loaded anew") {
  for (const Device& device : both_devices()) {
    Point point({4, 4, 4}, device);
    nn::Optimizer adam = nn::adam({nn::all_parameters(point)}, 0.1);
    const auto step = [&](float gradient, float loss) {
      point.set_gradient({gradient, 1, 1});
      adam.stop_if_not_finite(floats({loss}, {}, device));
      adam.step();
    };
    step(1.0f, 2.0f);
    CHECK(adam.stopped_at() == 0);
    const Floats before = point.at();
    const nn::State kept = adam.state();
    std::map<std::string, Floats> moments;
    for (const auto& [name, tensor] : kept) moments[name] = tensor.to_vector<float>();
    step(std::nanf(""), 2.0f);
    step(1.0f, 2.0f);
    CHECK(adam.stopped_at() == 2);
    CHECK(point.at() == before);
    for (const auto& [name, values_before] : moments)
      if (name.starts_with("moment")) CHECK(adam.state().at(name).to_vector<float>() == values_before);
    adam.load_state(kept);
    CHECK(adam.stopped_at() == 0);
    step(1.0f, 2.0f);
    CHECK(point.at() != before);
    step(1.0f, std::nanf(""));
    CHECK(adam.stopped_at() == 3);
    adam.load_state(adam.state());
    adam.stop_if_not_finite(Tensor());  // of the gradients only
    CHECK(adam.stopped_at() == 0);
  }
}

TEST_CASE("rmsprop continues bit for bit from its state, of three moments") {
  const Device device = Device::cpu();
  const Floats goal{1, -2, 0.5};
  const auto make = [](Point& p) {
    return nn::rmsprop({nn::all_parameters(p)}, 0.05, {.momentum = 0.5f, .centered = true});
  };
  Point whole({4, 4, 4}, device), part({4, 4, 4}, device), resumed({0, 0, 0}, device);
  nn::Optimizer a = make(whole), b = make(part), c = make(resumed);
  for (int i = 0; i < 7; ++i) descend(whole, goal, a);
  for (int i = 0; i < 4; ++i) descend(part, goal, b);
  resumed.load_state(part.state());
  const nn::State state = b.state();
  CHECK(state.size() == 5);
  CHECK(state.contains("moment3/at"));
  c.load_state(state);
  for (int i = 0; i < 3; ++i) descend(resumed, goal, c);
  CHECK(resumed.at() == whole.at());
  nn::Optimizer adam = nn::adam({nn::all_parameters(part)}, 0.1);
  CHECK(message([&] { adam.load_state(state); }).starts_with("adam: "));
}

TEST_CASE("frozen parameters and those without a gradient stay where they are") {
  const Device device = Device::cpu();
  nn::Sequential net;
  auto& first = net.add<nn::Linear>(1, 1, device);
  auto& second = net.add<nn::Linear>(1, 1, device);
  nn::initialize(net, 1, {.weights = nn::init::constant(1.0f), .biases = nn::init::constant(1.0f)});
  first.set_trainable(false);
  nn::Optimizer sgd = nn::sgd({nn::all_parameters(net)}, 1.0);
  first.weight.grad = Tensor::full({1, 1}, 1.0, DType::f32, device);
  second.weight.grad = Tensor::full({1, 1}, 1.0, DType::f32, device);
  sgd.step();
  CHECK(first.weight.value.item() == 1.0);
  CHECK(second.weight.value.item() == 0.0);
  CHECK(second.bias.value.item() == 1.0);
  sgd.zero_grad();
  CHECK_FALSE(second.weight.grad.defined());
}

TEST_CASE("groups by role take a decay of their own") {
  const Device device = Device::cpu();
  nn::Linear linear(3, 2, device);
  const nn::Role weights[] = {nn::Role::weight}, rest[] = {nn::Role::bias, nn::Role::scale, nn::Role::shift};
  const nn::ParameterGroup a = nn::parameters_of(linear, weights, 0.1), b = nn::parameters_of(linear, rest);
  REQUIRE(a.parameters.size() == 1);
  CHECK(a.parameters[0].name == "weight");
  CHECK(a.weight_decay == 0.1);
  REQUIRE(b.parameters.size() == 1);
  CHECK(b.parameters[0].name == "bias");
}

TEST_CASE("optimizers refuse what makes no sense") {
  const Device device = Device::cpu();
  Point point({1}, device);
  nn::ReLU empty;
  const auto all = [&] { return nn::all_parameters(point); };
  CHECK(message([&] { nn::sgd({nn::all_parameters(empty)}, 0.1); }) ==
        "sgd: there is no trainable parameter to step");
  CHECK(message([&] { nn::adam({all(), all()}, 0.1); }) == "adam: the parameter 'at' is in the groups twice");
  CHECK(message([&] { nn::adam({all()}, -1.0); }) ==
        "adam: the learning rate must be at least 0 and finite, got -1");
  CHECK(message([&] { nn::adam({all()}, 0.1, {.beta1 = 1.0f}); }) ==
        "adam: beta1 and beta2 must be in [0, 1), got 1 and 0.999");
  CHECK(message([&] { nn::sgd({all()}, 0.1, {.momentum = 1.5f}); }) ==
        "sgd: momentum must be in [0, 1), got 1.5");
  CHECK(message([&] { nn::sgd({all()}, 0.1, {.nesterov = true}); }) ==
        "sgd: Nesterov's form needs a momentum above 0");
  CHECK(message([&] { nn::adamw({all()}, 0.1, {.beta2 = 1.0f}); }) ==
        "adamw: beta1 and beta2 must be in [0, 1), got 0.9 and 1");
  CHECK(message([&] { nn::rmsprop({all()}, 0.1, {.alpha = 1.0f}); }) ==
        "rmsprop: alpha and momentum must be in [0, 1), got 1 and 0");
  CHECK(message([&] { nn::rmsprop({all()}, 0.1, {.momentum = -1.0f}); }) ==
        "rmsprop: alpha and momentum must be in [0, 1), got 0.99 and -1");
  CHECK(message([&] { nn::rmsprop({all()}, 0.1, {.eps = 0.0f}); }) ==
        "rmsprop: eps is 0, expected more than 0");
  CHECK(message([&] { nn::sgd({nn::all_parameters(point, -1.0)}, 0.1); }) ==
        "sgd: lr_scale and weight_decay must be at least 0, got 1 and -1");
  nn::Optimizer sgd = nn::sgd({all()}, 0.1);
  point.to(Device::simt());
  CHECK(message([&] { sgd.step(); }) ==
        "sgd: the parameter 'at' is on simt, but its moments are on cpu: make the optimizer after to()");
}

TEST_CASE("a small network learns ten samples, the same way each time") {
  const auto train = [](const Device& device, int steps) {
    nn::Sequential net;
    net.add<nn::Linear>(4, 16, device);
    net.add<nn::GaussianNoise>(0.01f);
    net.add<nn::ReLU>();
    net.add<nn::Linear>(16, 2, device);
    nn::initialize(net, 42);
    const auto numbers = [&](const Shape& shape, const char* stream) {
      return Tensor::normal(shape, {1, philox::stream_id(stream), 0, nullptr}, 0.0f, 1.0f, device);
    };
    const Tensor x = numbers({10, 4}, "x"), y = numbers({10, 2}, "y");
    nn::Optimizer adam = nn::adam({nn::all_parameters(net)}, 0.02);
    return fit(net, x, y, adam, steps);
  };
  const Floats losses = train(Device::cpu({.threads = 1, .isa = {}}), 500);
  CHECK(losses.front() > 0.5f);
  CHECK(losses.back() < 0.05f * losses.front());
  CHECK(train(Device::cpu({.threads = 2, .isa = {}}), 500) == losses);
  const Floats emulated = train(Device::simt(), 20);
  // Order of summation differs between the devices: equal to rounding that twenty steps carry along.
  for (std::size_t i = 0; i < emulated.size(); ++i)
    CHECK(emulated[i] == doctest::Approx(losses[i]).epsilon(1e-3));
}
