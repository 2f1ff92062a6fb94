// SPDX-License-Identifier: Apache-2.0
#include <doctest/doctest.h>

#include "autograd/ops/elementwise.h"
#include "autograd/ops/reduce.h"
#include "nn/activation.h"
#include "nn/conv2d.h"
#include "nn/flatten.h"
#include "nn/init.h"
#include "nn/layer_norm.h"
#include "nn/linear.h"
#include "nn/optim/sgd.h"
#include "nn/sequential.h"
#include "tests/nn/expect.h"

using namespace fovea;
using namespace fovea::test;

namespace {

Tensor normals(const Shape& shape, std::uint32_t step, const Device& device) {
  return Tensor::normal(shape, {3, philox::stream_id("norm"), step, nullptr}, 0.0f, 1.0f, device);
}

}  // namespace

TEST_CASE("group norm: one group normalises a sample, as many as channels each plane") {
  for (const Device& device : both_devices()) {
    // Two channels of two positions; means 4 and 3, 5; variances 9 + eps, 1 + eps.
    const Tensor x = floats({1, 1, 7, 7, 1, 5, 4, 6}, {2, 2, 2}, device);
    nn::GroupNorm joint(1, 2, device, {.eps = 7.0f});
    CHECK(state_names(joint) == Names{"bias", "weight"});
    CHECK(joint.parameter_count() == 4);
    nn::initialize(joint, 0);
    CHECK(values(joint.weight.value) == Floats{1, 1});
    CHECK(values(joint.bias.value) == Floats{0, 0});
    joint.weight.value.copy_from(floats({4, 8}, {2}, device));
    joint.bias.value.copy_from(floats({0, 1}, {2}, device));
    const Floats first = values(joint(x));
    CHECK(Floats(first.begin(), first.begin() + 4) == Floats{-3, -3, 7, 7});  // (1 - 4)/4·4, (7 - 4)/4·8 + 1
    nn::GroupNorm planes(2, 2, device, {.eps = 3.0f, .affine = false});
    CHECK(planes.parameter_count() == 0);
    const Floats second = values(planes(x));
    CHECK(Floats(second.begin(), second.begin() + 4) == Floats{0, 0, 0, 0});
    CHECK(Floats(second.begin() + 6, second.end()) == Floats{-0.5, 0.5});
    planes.eval();
    CHECK(values(planes(x)) == second);
  }
}

TEST_CASE("layer norm: over the last dimension, or over the channels at each position") {
  for (const Device& device : both_devices()) {
    const Tensor x = floats({1, 7, 5, 5, 2, 4}, {3, 2}, device);
    nn::LayerNorm rows(2, device, {.eps = 7.0f});
    CHECK(state_names(rows) == Names{"bias", "weight"});
    nn::initialize(rows, 0);
    rows.weight.value.copy_from(floats({4, 8}, {2}, device));
    rows.bias.value.copy_from(floats({0, 1}, {2}, device));
    const Floats y = values(rows(x));
    CHECK(Floats(y.begin(), y.begin() + 4) == Floats{-3, 7, 0, 1});
    nn::LayerNorm channels(2, device, {.eps = 7.0f, .affine = false}, nn::LayerNormOver::channels);
    CHECK(channels.parameter_count() == 0);
    CHECK(values(channels(floats({1, 5, 7, 5}, {1, 2, 2}, device))) == Floats{-0.75, 0, 0.75, 0});
    nn::LayerNorm affine(2, device, {.eps = 7.0f}, nn::LayerNormOver::channels);
    affine.load_state(rows.state());
    CHECK(values(affine(floats({1, 5, 7, 5}, {1, 2, 2}, device))) == Floats{-3, 0, 7, 1});
  }
}

TEST_CASE("norms name themselves when an input does not fit") {
  const Device device = Device::cpu();
  nn::Sequential net;
  net.add_named<nn::GroupNorm>("gn", 2, 4, device);
  net.add_named<nn::LayerNorm>("ln", 4, device);
  net.add_named<nn::LayerNorm>("cn", 4, device, nn::NormOptions{}, nn::LayerNormOver::channels);
  const auto zeros = [&](const Shape& shape) { return Tensor::zeros(shape, DType::f32, device); };
  CHECK(message([&] { nn::GroupNorm(3, 4, device); }) ==
        "group_norm: groups must divide the 4 channels, got 3");
  CHECK(message([&] { nn::GroupNorm(0, 4, device); }) ==
        "group_norm: groups must divide the 4 channels, got 0");
  CHECK(message([&] {
          net[0](zeros({2, 6, 3}));
        }) == "group_norm 'gn': x [2, 6, 3] does not have the 4 channels that its 2 groups are of");
  CHECK(message([&] { net[0](zeros({4})); }) ==
        "group_norm 'gn': x [4] does not have the 4 channels that its 2 groups are of");
  CHECK(message([&] {
          net[1](zeros({4, 3}));
        }) == "layer_norm 'ln': x [4, 3] does not have the 4 columns that it normalises");
  CHECK(message([&] { net[1](zeros({})); }) ==
        "layer_norm 'ln': x [] does not have the 4 columns that it normalises");
  CHECK(message([&] { net[2](zeros({4})); }) ==
        "layer_norm 'cn': x [4] does not have the 4 channels that it normalises");
  CHECK(message([&] {
          net[2](zeros({2, 3, 4}));
        }) == "layer_norm 'cn': x [2, 3, 4] does not have the 4 channels that it normalises");
}

TEST_CASE("a net with each of the norms learns a tiny set") {
  const Device device = Device::cpu();
  nn::Sequential net;
  net.add<nn::Conv2d>(1, 4, 3, device);
  net.add<nn::GroupNorm>(2, 4, device);
  net.add<nn::ReLU>();
  net.add<nn::LayerNorm>(4, device, nn::NormOptions{}, nn::LayerNormOver::channels);
  net.add<nn::Flatten>();
  net.add<nn::LayerNorm>(16, device);
  net.add<nn::Linear>(16, 1, device);
  nn::initialize(net, 2);
  const Tensor x = normals({8, 1, 4, 4}, 0, device), target = normals({8, 1}, 1, device);
  auto optimizer = nn::sgd({{net.named_parameters()}}, 0.05);
  double first = 0, last = 0;
  for (int step = 0; step < 60; ++step) {
    optimizer.zero_grad();
    Tape tape;
    const Var loss = mean(square(net(tape.input(x)) - Var(target)));
    last = loss.value().item();
    if (step == 0) first = last;
    tape.backward(loss);
    optimizer.step();
  }
  CHECK(last < 0.1 * first);
}
