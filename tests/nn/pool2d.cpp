// SPDX-License-Identifier: Apache-2.0
#include "nn/pool2d.h"

#include <doctest/doctest.h>

#include "autograd/ops/elementwise.h"
#include "autograd/ops/reduce.h"
#include "nn/conv2d.h"
#include "nn/init.h"
#include "nn/optim/adam.h"
#include "nn/resize.h"
#include "nn/sequential.h"
#include "tests/nn/expect.h"

using namespace fovea;
using namespace fovea::test;

namespace {

Tensor ramp(const Shape& shape, const Device& device) {
  Floats values(static_cast<std::size_t>(shape.numel()));
  for (std::size_t i = 0; i < values.size(); ++i) values[i] = static_cast<float>(i);
  return floats(values, shape, device);
}

}  // namespace

TEST_CASE("pooling layers take the options of their ops") {
  for (const Device& device : both_devices()) {
    const Tensor x = ramp({1, 1, 3, 4}, device);  // rows 0 1 2 3, 4 5 6 7, 8 9 10 11
    const auto values = [&](nn::Module&& layer) { return layer(x).value().to_vector<float>(); };
    CHECK(values(nn::MaxPool2d(2)) == Floats{5, 7});
    CHECK(values(nn::MaxPool2d({2, 3}, {.stride = 1})) == Floats{6, 7, 10, 11});
    CHECK(values(nn::MaxPool2d(2, {.ceil_mode = true})) == Floats{5, 7, 9, 11});
    CHECK(values(nn::MaxPool2d(3, {.stride = 2, .padding = 1})) == Floats{5, 7, 9, 11});
    CHECK(values(nn::AveragePool2d(2)) == Floats{2.5, 4.5});
    CHECK(values(nn::AveragePool2d({3, 2}, {.stride = {1, 2}, .padding = {1, 1, 0, 0}})) ==
          Floats{2.5, 4.5, 4.5, 6.5, 6.5, 8.5});
    CHECK(values(nn::AveragePool2d(
              {1, 2}, {.stride = {2, 4}, .padding = {0, 0, 1, 0}, .count_padding = true})) == Floats{0, 4});
    CHECK(values(nn::AdaptiveAveragePool2d({1, 2})) == Floats{4.5, 6.5});
    CHECK(values(nn::GlobalAveragePool2d()) == Floats{5.5});
  }
}

TEST_CASE("`same` pads each input for itself") {
  const Device device = Device::cpu();
  nn::MaxPool2d max(2, {.same = true});
  nn::AveragePool2d average(3, {.stride = {1, 2}, .same = true});
  CHECK(max(ramp({2, 3, 7, 7}, device)).shape() == Shape{2, 3, 4, 4});
  CHECK(max(ramp({2, 3, 8, 9}, device)).shape() == Shape{2, 3, 4, 5});
  CHECK(max(ramp({1, 1, 1, 3}, device)).value().to_vector<float>() == Floats{1, 2});
  CHECK(average(ramp({1, 1, 5, 4}, device)).shape() == Shape{1, 1, 5, 2});
  CHECK(average(ramp({1, 1, 1, 3}, device)).value().to_vector<float>() == Floats{0.5, 1.5});
}

TEST_CASE("resize layers know their size and their coordinates") {
  for (const Device& device : both_devices()) {
    const Tensor x = ramp({1, 1, 1, 3}, device);
    const auto values = [&](nn::Resize&& layer) { return layer(x).value().to_vector<float>(); };
    CHECK(values(nn::Resize({1, 5}, {.align_corners = true})) == Floats{0, 0.5, 1, 1.5, 2});
    CHECK(values(nn::Resize({2, 6})) == Floats{0, 0.25, 0.75, 1.25, 1.75, 2, 0, 0.25, 0.75, 1.25, 1.75, 2});
    CHECK(values(nn::Resize({1, 6}, {.mode = nn::ResizeMode::nearest})) == Floats{0, 0, 1, 1, 2, 2});
  }
}

TEST_CASE("layers that change the size of planes name themselves when an input does not fit") {
  const Device device = Device::cpu();
  nn::Sequential net;
  net.add_named<nn::MaxPool2d>("max", 3);
  net.add_named<nn::AveragePool2d>("average", Size2d(2, 3), nn::PoolOptions{.padding = 1});
  net.add_named<nn::AdaptiveAveragePool2d>("adaptive", 2);
  net.add_named<nn::GlobalAveragePool2d>("global");
  net.add_named<nn::Resize>("resize", Size2d(7));
  const auto text = [&](std::size_t layer, const Shape& shape) {
    return message([&] { net[layer](Tensor::zeros(shape, DType::f32, device)); });
  };
  CHECK(text(0, {2, 5}) == "max_pool2d 'max': x [2, 5] is not [B, C, H, W] with room for a 3×3 window");
  CHECK(text(0, {2, 5, 2, 8}) ==
        "max_pool2d 'max': x [2, 5, 2, 8] is not [B, C, H, W] with room for a 3×3 window");
  CHECK(text(0, {2, 5, 8, 0}) ==
        "max_pool2d 'max': x [2, 5, 8, 0] is not [B, C, H, W] with room for a 3×3 window");
  CHECK(text(1, {1, 1, 0, 4}) ==
        "average_pool2d 'average': x [1, 1, 0, 4] is not [B, C, H, W] with room for a 2×3 window");
  CHECK(text(1, {1, 1, 1, 1}) == "nothing was thrown");
  CHECK(text(2, {3, 4}) ==
        "adaptive_average_pool2d 'adaptive': x [3, 4] is not [N, C, H, W] with at least one pixel in each "
        "plane");
  CHECK(text(3, {3, 4}) ==
        "global_average_pool2d 'global': x [3, 4] is not [N, C, H, W] with at least one pixel in each plane");
  CHECK(text(4, {3, 4, 5, 0}) ==
        "resize 'resize': x [3, 4, 5, 0] is not [N, C, H, W] with at least one pixel in each plane");
}

TEST_CASE("layers that change the size of planes refuse options that make no sense, when they are made") {
  const std::string both = "`same` sets padding itself and leaves it out of averages; drop the other options";
  CHECK(message([] { nn::MaxPool2d(2, {.padding = 1, .same = true}); }) == "max_pool2d: " + both);
  CHECK(message([] { nn::MaxPool2d(2, {.same = true, .ceil_mode = true}); }) == "max_pool2d: " + both);
  CHECK(message([] { nn::AveragePool2d(2, {.same = true, .count_padding = true}); }) ==
        "average_pool2d: " + both);
  CHECK(message([] { nn::MaxPool2d(0); }) == "max_pool2d: kernel 0×0 has a side outside of 1..2147483647");
  CHECK(message([] {
          nn::AdaptiveAveragePool2d({1, 0});
        }) == "adaptive_average_pool2d: out 1×0 has a side outside of 1..2147483647");
  CHECK(message([] { nn::Resize(-1); }) == "resize: out -1×-1 has a side outside of 1..2147483647");
  CHECK(message([] { nn::Resize(2, {.mode = nn::ResizeMode::nearest, .align_corners = true}); }) ==
        "resize: align_corners is for bilinear; nearest has no such choice");
}

TEST_CASE("pooling and resizing have no parameters and let gradients through") {
  const Device device = Device::cpu();
  nn::Sequential net;
  net.add_named<nn::Conv2d>("conv", 1, 3, 3, device, nn::ConvOptions{.padding = 1});
  net.add_named<nn::MaxPool2d>("max", 2, nn::PoolOptions{.same = true});
  net.add_named<nn::Resize>("resize", Size2d(7), nn::ResizeOptions{.align_corners = true});
  net.add_named<nn::AveragePool2d>("average", 3, nn::PoolOptions{.stride = 2});
  net.add_named<nn::GlobalAveragePool2d>("global");
  CHECK(net.parameter_count() == 3 * 9 + 3);
  nn::initialize(net, 5);
  const Tensor x = Tensor::normal({2, 1, 7, 7}, {3, philox::stream_id("pool"), 0, nullptr}, 0, 1, device);
  nn::Optimizer optimizer = nn::adam({{net.named_parameters()}}, 0.02);
  double first = 0, last = 0;
  for (int step = 0; step < 30; ++step) {
    optimizer.zero_grad();
    Tape tape;
    const Var loss = mean(square(net(tape.input(x)) - 1.0));
    tape.backward(loss);
    optimizer.step();
    (step == 0 ? first : last) = loss.value().item();
  }
  CHECK(last < 0.2 * first);
}
