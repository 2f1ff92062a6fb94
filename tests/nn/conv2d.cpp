// SPDX-License-Identifier: Apache-2.0
#include "nn/conv2d.h"

#include <doctest/doctest.h>

#include <algorithm>
#include <cmath>

#include "autograd/ops/loss.h"
#include "nn/init.h"
#include "nn/optim/adam.h"
#include "tests/nn/expect.h"

using namespace fovea;
using namespace fovea::test;

namespace {

Tensor normals(const Shape& shape, const Device& device, const char* stream) {
  return Tensor::normal(shape, {5, philox::stream_id(stream), 0, nullptr}, 0.0f, 1.0f, device);
}

}  // namespace

TEST_CASE("conv2d strides, dilates, pads each side and keeps groups apart") {
  for (const Device& device : both_devices()) {
    const Tensor x = floats({1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15, 16}, {1, 1, 4, 4}, device);
    nn::Conv2d apart(1, 1, 2, device, {.stride = 2, .dilation = {1, 2}, .bias = false});
    apart.weight.value.copy_from(floats({1, 10, 100, 1000}, {1, 1, 2, 2}, device));
    CHECK(apart(x).value().to_vector<float>() == Floats{7531, 16419});
    nn::Conv2d row(1, 1, {1, 2}, device, {.stride = {4, 1}, .padding = {0, 0, 1, 0}, .bias = false});
    row.weight.value.copy_from(floats({1, 10}, {1, 1, 1, 2}, device));
    CHECK(row(x).value().to_vector<float>() == Floats{10, 21, 32, 43});
    nn::Conv2d groups(2, 4, 1, device, {.groups = 2, .bias = false});
    CHECK(groups.weight.value.shape() == Shape{4, 1, 1, 1});
    groups.weight.value.copy_from(floats({1, 2, 3, 4}, {4, 1, 1, 1}, device));
    CHECK(groups(floats({1, 10}, {1, 2, 1, 1}, device)).value().to_vector<float>() == Floats{1, 2, 30, 40});
  }
}

TEST_CASE("same padding follows the input; an odd pixel goes to the bottom and the right") {
  const Device device = Device::cpu();
  const auto zeros = [&](const Shape& shape) { return Tensor::zeros(shape, DType::f32, device); };
  nn::Conv2d same(1, 1, 2, device, {.same = true, .bias = false});
  same.weight.value.copy_from(floats({1, 10, 100, 1000}, {1, 1, 2, 2}, device));
  CHECK(same(floats({1, 2, 3, 4}, {1, 1, 2, 2}, device)).value().to_vector<float>() ==
        Floats{4321, 402, 43, 4});
  nn::Conv2d strided(3, 5, {7, 3}, device, {.stride = 2, .same = true});
  nn::initialize(strided, 1);
  CHECK(strided(zeros({2, 3, 64, 33})).shape() == Shape{2, 5, 32, 17});
  CHECK(strided(zeros({2, 3, 7, 1})).shape() == Shape{2, 5, 4, 1});
}

TEST_CASE("starting values of a grouped convolution follow what one output sees") {
  const Device device = Device::cpu();
  nn::Conv2d conv(32, 64, {5, 3}, device, {.groups = 16});
  nn::initialize(conv, 3);
  const float bound = 1 / std::sqrt(2.0f * 5 * 3);
  const auto w = conv.weight.value.to_vector<float>();
  const float largest = std::abs(
      *std::max_element(w.begin(), w.end(), [](float a, float b) { return std::abs(a) < std::abs(b); }));
  CHECK(largest <= bound);
  CHECK(largest > 0.99f * bound);  // 1920 draws
}

TEST_CASE("separable_conv2d: a kernel for each channel, then a mix of channels") {
  const Device device = Device::cpu();
  nn::SeparableConv2d conv(2, 1, {1, 2}, device);
  conv.depthwise.weight.value.copy_from(floats({1, 10, 2, 20}, {2, 1, 1, 2}, device));
  conv.pointwise.weight.value.copy_from(floats({1, 100}, {1, 2, 1, 1}, device));
  conv.pointwise.bias.value.fill(0.5);
  CHECK(conv(floats({1, 2, 3, 4, 5, 6}, {1, 2, 1, 3}, device)).value().to_vector<float>() ==
        Floats{10821.5, 13032.5});

  nn::SeparableConv2d wide(8, 16, 7, device, {.stride = 2, .same = true, .dilation = 2});
  CHECK(wide.parameter_count() == 8 * 49 + 8 * 16 + 16);
  const auto parameters = wide.named_parameters();
  REQUIRE(parameters.size() == 3);
  CHECK(parameters[0].name == "depthwise.weight");
  CHECK(parameters[1].name == "pointwise.weight");
  CHECK(parameters[2].name == "pointwise.bias");
  nn::initialize(wide, 4);
  const Tensor x = normals({2, 8, 15, 14}, device, "x");
  const Var y = wide(x);
  CHECK(y.shape() == Shape{2, 16, 8, 7});
  nn::SeparableConv2d other(8, 16, 7, device, {.stride = 2, .same = true, .dilation = 2});
  other.load_state(wide.state());
  CHECK(other(x).value().to_vector<float>() == y.value().to_vector<float>());
  CHECK(nn::SeparableConv2d(8, 16, 3, device, {.bias = false}).parameter_count() == 8 * 9 + 8 * 16);
}

TEST_CASE("separable_conv2d learns another one") {
  const Device device = Device::cpu();
  nn::SeparableConv2d taught(3, 4, 3, device, {.same = true}), teacher(3, 4, 3, device, {.same = true});
  nn::initialize(taught, 1);
  nn::initialize(teacher, 2);
  const Tensor x = normals({8, 3, 6, 6}, device, "x"), target = teacher(x).value();
  nn::Optimizer adam = nn::adam({nn::all_parameters(taught)}, 0.03);
  float first = 0, last = 0;
  for (int step = 0; step < 100; ++step) {
    adam.zero_grad();
    Tape tape;
    const Var loss = mse_loss(taught(tape.input(x)), target);
    last = static_cast<float>(loss.value().item());
    if (step == 0) first = last;
    tape.backward(loss);
    adam.step();
  }
  CHECK(last < 0.1f * first);
}

TEST_CASE("convolutions refuse what cannot be") {
  const Device device = Device::cpu();
  const auto zeros = [&](const Shape& shape) { return Tensor::zeros(shape, DType::f32, device); };
  CHECK(message([&] { nn::Conv2d(5, 4, 3, device, {.groups = 2}); }) ==
        "conv2d: 2 groups do not divide 5 channels in and 4 out");
  CHECK(message([&] { nn::Conv2d(4, 5, 3, device, {.groups = 2}); }) ==
        "conv2d: 2 groups do not divide 4 channels in and 5 out");
  CHECK(message([&] { nn::Conv2d(4, 4, 3, device, {.groups = 0}); }) ==
        "conv2d: 0 groups do not divide 4 channels in and 4 out");
  CHECK(message([&] {
          nn::Conv2d(4, 4, 3, device, {.stride = {0, 2}});
        }) == "conv2d: stride 0×2 and dilation 1 must be at least 1");
  CHECK(message([&] {
          nn::Conv2d(4, 4, 3, device, {.stride = {2, 0}});
        }) == "conv2d: stride 2×0 and dilation 1 must be at least 1");
  CHECK(message([&] {
          nn::Conv2d(4, 4, 3, device, {.dilation = {0, 1}});
        }) == "conv2d: stride 1 and dilation 0×1 must be at least 1");
  CHECK(message([&] {
          nn::Conv2d(4, 4, 3, device, {.dilation = {1, -1}});
        }) == "conv2d: stride 1 and dilation 1×-1 must be at least 1");
  CHECK(message([&] { nn::Conv2d(4, 4, 3, device, {.padding = 1, .same = true}); }) ==
        "conv2d: padding 1 and same exclude each other");
  CHECK(message([&] { nn::SeparableConv2d(4, 4, 3, device, {.groups = 4}); }) ==
        "separable_conv2d: groups 4 is not 1, but each of the 4 channels is a group of its own");
  CHECK(message([&] {
          nn::Conv2d(4, 6, {3, 5}, device, {.groups = 2})(zeros({1, 2, 9, 9}));
        }) ==
        "conv2d: x [1, 2, 9, 9] is not [B, 4, H, W] with H and W of at least 3×5, as weight [6, 2, 3, 5] and "
        "padding 0 expect");
  CHECK(message([&] {
          nn::Conv2d(1, 1, 3, device, {.padding = {0, 0, 1, 0}, .dilation = 2})(zeros({1, 1, 5, 3}));
        }) ==
        "conv2d: x [1, 1, 5, 3] is not [B, 1, H, W] with H and W of at least 5×4, as weight [1, 1, 3, 3] and "
        "padding {top 0, bottom 0, left 1, right 0} expect");
  CHECK(message([&] {
          nn::Conv2d(1, 1, 3, device, {.same = true})(zeros({1, 1, 0, 3}));
        }) ==
        "conv2d: x [1, 1, 0, 3] is not [B, 1, H, W] with H and W of at least 1, as weight [1, 1, 3, 3] and "
        "same "
        "expect");
}
