// SPDX-License-Identifier: Apache-2.0
#include "nn/module.h"

#include <doctest/doctest.h>

#include "autograd/ops/elementwise.h"
#include "autograd/ops/reduce.h"
#include "nn/activation.h"
#include "nn/batch_norm.h"
#include "nn/conv2d.h"
#include "nn/flatten.h"
#include "nn/init.h"
#include "nn/linear.h"
#include "nn/noise.h"
#include "nn/sequential.h"
#include "tests/nn/expect.h"

using namespace fovea;
using namespace fovea::test;

namespace {

class Net final : public nn::Module {
 public:
  explicit Net(const Device& device) : conv1(2, 3, 3, device), bn1(3, device), fc(12, 4, device) {
    add_child("conv1", conv1);
    add_child("bn1", bn1);
    add_child("fc", fc);
  }
  Var forward(const Var& x) override { return fc(flatten_(relu_(bn1(conv1(x))))); }

  nn::Conv2d conv1;
  nn::BatchNorm bn1;
  nn::Linear fc;

 private:
  nn::ReLU relu_;
  nn::Flatten flatten_;
};

/// x + a + b: both parameters get the very gradient of the sum.
class Pair final : public nn::Module {
 public:
  explicit Pair(const Device& device) {
    add_parameter("a", a, nn::Role::shift, {2}, device, nn::init::constant(0.0f));
    add_parameter("b", b, nn::Role::shift, {2}, device, nn::init::constant(0.0f));
  }
  Var forward(const Var& x) override { return add(add(x, on_tape(a, x)), on_tape(b, x)); }
  nn::Parameter a, b;
};

/// One number, used twice in forward.
class Twice final : public nn::Module {
 public:
  explicit Twice(const Device& device) {
    add_parameter("factor", factor, nn::Role::weight, {1}, device, nn::init::constant(3.0f));
  }
  Var forward(const Var& x) override { return multiply(multiply(x, on_tape(factor, x)), on_tape(factor, x)); }
  nn::Parameter factor;
};

class Named final : public nn::Module {
 public:
  Named(const std::string& name, nn::Module& child) { add_child(name, child); }
  Named(const std::string& name, nn::Module& child, const std::string& second, nn::Module& other) {
    add_child(name, child);
    add_child(second, other);
  }
  Var forward(const Var& x) override { return x; }
};

std::vector<std::string> names(const nn::Module& module) {
  std::vector<std::string> result;
  for (const auto& named : module.named_parameters()) result.push_back(named.name);
  return result;
}

}  // namespace

TEST_CASE("a model lists its parameters and buffers as PyTorch would") {
  const Device device = Device::cpu();
  const Net net(device);
  CHECK(names(net) == Names{"conv1.weight", "conv1.bias", "bn1.weight", "bn1.bias", "fc.weight", "fc.bias"});
  REQUIRE(net.named_buffers().size() == 2);
  CHECK(net.named_buffers()[0].name == "bn1.running_mean");
  CHECK(net.named_buffers()[1].name == "bn1.running_var");
  CHECK(net.parameter_count() == (2 * 3 * 9 + 3) + (3 + 3) + (12 * 4 + 4));
  CHECK(net.state().size() == 8);
}

TEST_CASE("children of a Sequential are named by their place or by name") {
  const Device device = Device::cpu();
  nn::Sequential net;
  net.add<nn::Conv2d>(40, 16, 15, device);
  net.add<nn::ReLU>();
  nn::Sequential& head = net.add_named<nn::Sequential>("head");
  head.add<nn::Linear>(6272, 5, device, nn::LinearOptions{.bias = true});
  CHECK(names(net) == Names{"0.weight", "0.bias", "head.0.weight", "head.0.bias"});
  CHECK(names(head) == Names{"0.weight", "0.bias"});
  CHECK(head[0].path() == "head.0");
  CHECK(net.path() == "");
  CHECK(net.size() == 3);
  CHECK(net.parameter_count() == 144016 + 31365);  // as in the network of McIntosh et al. 2016
  CHECK(nn::Linear(7, 2, device, {.bias = false}).parameter_count() == 14);
}

TEST_CASE("names must be new, without dots, and a child has one parent") {
  nn::ReLU a, b;
  CHECK(message([&] { Named("", a); }) ==
        "module: '' is not a name: it must not be empty and must not contain a dot");
  CHECK(message([&] { Named("a.b", a); }) ==
        "module: 'a.b' is not a name: it must not be empty and must not contain a dot");
  CHECK(message([&] { Named("x", a, "x", b); }) == "module: the name 'x' is used twice in one module");
  nn::ReLU shared;
  const Named first("act", shared);
  CHECK(message([&] { Named("again", shared); }) ==
        "module: 'again' is already the child 'act' of another module");
}

TEST_CASE("a state goes round, and the tensors of a state are those of the model") {
  const Device device = Device::cpu();
  Net from(device), to(device);
  nn::initialize(from, 1);
  nn::initialize(to, 2);
  from.bn1.running_var.fill(2.5);
  CHECK(from.conv1.weight.value.to_vector<float>() != to.conv1.weight.value.to_vector<float>());
  const void* before = to.conv1.weight.value.raw();
  nn::State state = from.state();
  state["fc.bias"] = state["fc.bias"].to(DType::f64);  // converted on the way in
  to.load_state(state);
  for (const auto& [key, tensor] : from.state()) {
    const std::string& name = key;  // clang 14 captures no structured binding
    CHECK_MESSAGE(to.state().at(name).to_vector<float>() == tensor.to_vector<float>(), name);
  }
  CHECK(to.conv1.weight.value.raw() == before);
  CHECK_FALSE(to.conv1.weight.value.shares_memory_with(from.conv1.weight.value));
  CHECK(from.state().at("fc.weight").shares_memory_with(from.fc.weight.value));
}

TEST_CASE("a state that does not fit is refused with all its faults, and nothing is changed") {
  const Device device = Device::cpu();
  Net net(device);
  nn::initialize(net, 1);
  const Floats before = net.bn1.bias.value.to_vector<float>();
  nn::State state;
  for (const auto& [name, tensor] : net.state()) state[name] = Tensor::zeros_like(tensor);
  state.erase("conv1.weight");
  state["conv_1.weight"] = Tensor::zeros({3, 2, 3, 3}, DType::f32, device);
  state.erase("fc.bias");
  state["bn1.running_mean"] = Tensor::zeros({5}, DType::f32, device);
  state["decoder.scale"] = Tensor::zeros({2}, DType::f32, device);
  CHECK(
      message([&] { net.load_state(state); }) ==
      "load_state: 'bn1.running_mean' has shape [5], expected [3]; 'conv1.weight' [3, 2, 3, 3] is missing "
      "(is 'conv_1.weight' meant?); 'fc.bias' [4] is missing; 'conv_1.weight' [3, 2, 3, 3] is not expected; "
      "'decoder.scale' [2] is not expected");
  CHECK(net.bn1.bias.value.to_vector<float>() == before);
}

TEST_CASE("parts of a checkpoint are told apart by a prefix") {
  const Device device = Device::cpu();
  const nn::State state{{"a.x", Tensor::zeros({1}, DType::f32, device)},
                        {"b.x", Tensor::zeros({2}, DType::f32, device)}};
  const nn::State b = nn::without_prefix("b.", state);
  REQUIRE(b.size() == 1);
  CHECK(b.at("x").shape() == Shape{2});
  CHECK(nn::with_prefix("b.", b).contains("b.x"));
}

TEST_CASE("train and eval reach a subtree") {
  const Device device = Device::cpu();
  Net net(device);
  CHECK(net.training());
  net.bn1.eval();
  CHECK(net.training());
  CHECK_FALSE(net.bn1.training());
  net.eval();
  CHECK_FALSE(net.fc.training());
  net.train();
  CHECK(net.bn1.training());
}

TEST_CASE("gradients reach a parameter that is used twice as one leaf, and stop at a frozen one") {
  for (const Device& device : both_devices()) {
    Twice twice(device);
    nn::initialize(twice, 0);
    const Tensor x = floats({1, 2}, {2}, device);
    {
      Tape tape;
      tape.backward(sum(twice(tape.input(x))));
    }
    CHECK(twice.factor.grad.item() == 18.0);  // d(Σx·f²)/df = 2·f·Σx
    {
      Tape tape;
      tape.backward(sum(twice(tape.input(x))));
    }
    CHECK(twice.factor.grad.item() == 36.0);
    twice.zero_grad();
    CHECK_FALSE(twice.factor.grad.defined());
    twice.set_trainable(false);
    Tape tape;
    CHECK_FALSE(twice(tape.input(x)).needs_grad());
    CHECK(twice(x).tape() == nullptr);
    CHECK(twice(x).value().to_vector<float>() == Floats{9, 18});
  }
}

TEST_CASE("gradients of two parameters never share memory") {
  const Device device = Device::cpu();
  Pair pair(device);
  nn::initialize(pair, 0);
  for (int pass = 0; pass < 2; ++pass) {
    Tape tape;
    tape.backward(sum(pair(tape.input(Tensor::zeros({2}, DType::f32, device)))));
  }
  CHECK(pair.a.grad.to_vector<float>() == Floats{2, 2});  // added up over two passes, each on its own
  CHECK(pair.b.grad.to_vector<float>() == Floats{2, 2});
}

TEST_CASE("a model moves between devices") {
  const Device cpu = Device::cpu(), simt = Device::simt();
  Net net(cpu);
  nn::initialize(net, 3);
  const Floats weight = net.fc.weight.value.to_vector<float>();
  net.fc.weight.grad = Tensor::zeros_like(net.fc.weight.value);
  net.to(simt);
  CHECK(net.fc.weight.value.device() == simt);
  CHECK(net.bn1.running_var.device() == simt);
  CHECK_FALSE(net.fc.weight.grad.defined());
  CHECK(net.fc.weight.value.to_vector<float>() == weight);
}
