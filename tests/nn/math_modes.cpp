// SPDX-License-Identifier: Apache-2.0
#include <doctest/doctest.h>

#include <cmath>

#include "nn/activation.h"
#include "nn/conv2d.h"
#include "nn/flatten.h"
#include "nn/init.h"
#include "nn/linear.h"
#include "nn/loss.h"
#include "nn/optim/adam.h"
#include "nn/sequential.h"
#include "tests/nn/fit.h"

using namespace fovea;
using namespace fovea::test;

TEST_CASE("a small convolutional network learns in tf32 and bf16 as it does in fp32") {
  constexpr int kSteps = 30;
  const auto train = [](Math math) {
    const Device device = Device::simt(simt::Order::forward, math);
    nn::Sequential net;
    net.add<nn::Conv2d>(2, 5, 3, device);
    net.add<nn::ReLU>();
    net.add<nn::Conv2d>(5, 4, 3, device);
    net.add<nn::ReLU>();
    net.add<nn::Flatten>();
    net.add<nn::Linear>(4 * 2 * 3, 3, device);
    nn::initialize(net, 42);
    const auto numbers = [&](const Shape& shape, const char* stream) {
      return Tensor::normal(shape, {1, philox::stream_id(stream), 0, nullptr}, 0.0f, 1.0f, device);
    };
    const Tensor x = numbers({6, 2, 6, 7}, "x"), y = numbers({6, 3}, "y");
    nn::Optimizer adam = nn::adam({nn::all_parameters(net)}, 0.01);
    return fit(net, x, y, adam, kSteps);
  };
  const Floats exact = train(Math::fp32);
  REQUIRE(exact.back() < 0.3f * exact.front());
  for (const Math math : {Math::tf32, Math::bf16}) {
    CAPTURE(math_name(math));
    const float roundoff = math == Math::tf32 ? 0x1p-11f : 0x1p-8f;
    const Floats losses = train(math);
    CHECK(losses != exact);
    CHECK(losses.front() == doctest::Approx(exact.front()).epsilon(4 * roundoff));
    CHECK(losses.back() < 0.3f * losses.front());
    // Rounding is carried along for 30 steps; a wrong gradient would show as another curve.
    CHECK(std::abs(losses.back() - exact.back()) < 0.05f * exact.front());
    CHECK(train(math) == losses);
  }
}
