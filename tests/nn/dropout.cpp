// SPDX-License-Identifier: Apache-2.0
#include "nn/dropout.h"

#include <doctest/doctest.h>

#include <cmath>

#include "nn/crelu.h"
#include "nn/sequential.h"
#include "tests/nn/expect.h"

using namespace fovea;
using namespace fovea::test;

TEST_CASE("dropout is fresh in each training step, absent after eval, and equal on all devices") {
  std::vector<Floats> seen;
  for (const Device& device : both_devices()) {
    nn::Sequential net;
    net.add_named<nn::Dropout>("drop1", 0.25f);
    net.add_named<nn::Dropout>("drop2", 0.25f);
    net.add_named<nn::Dropout>("paths", 0.25f, nn::DropoutOptions{.per_sample = true});
    const Tensor x = Tensor::full({20, 200}, 3.0, DType::f32, device);
    Tape tape({.seed = 7, .step = 3}), same({.seed = 7, .step = 3}), next({.seed = 7, .step = 4});
    const auto values = [&](std::size_t k, Tape& on_tape) {
      return net[k](on_tape.input(x)).value().to_vector<float>();
    };
    const Floats y = values(0, tape);
    CHECK(values(0, tape) == y);  // twice in one step: the same mask
    CHECK(values(0, same) == y);
    CHECK(values(0, next) != y);
    CHECK(values(1, tape) != y);
    double dropped = 0;
    for (const float v : y) {
      if (v != 0.0f) CHECK(v == 4.0f);
      if (v == 0.0f) dropped += 1.0 / 4000;
    }
    CHECK(std::abs(dropped - 0.25) < 5 * std::sqrt(0.25 * 0.75 / 4000));  // five standard errors
    const Floats samples = values(2, tape);
    for (std::size_t i = 0; i < samples.size(); ++i) CHECK(samples[i] == samples[i / 200 * 200]);
    CHECK(samples != Floats(4000, samples[0]));
    seen.push_back(y);
    CHECK(
        message([&] { net[0](x); }) ==
        "dropout 'drop1': training draws from the tape's seed and step, but x [20, 200] is on no tape; pass "
        "tape.input(x), or call eval() for inference");
    net.eval();
    CHECK(net(x).value().to_vector<float>() == Floats(4000, 3.0f));
    CHECK(net.parameter_count() == 0);
  }
  CHECK(seen[0] == seen[1]);
  nn::Dropout none(0.0f);
  CHECK(none.p() == 0.0f);
  CHECK(none(Tensor::full({2}, 3.0, DType::f32, Device::cpu())).value().to_vector<float>() == Floats{3, 3});
  CHECK(message([] { nn::Dropout(1.0f); }) == "dropout: p must be in [0, 1), got 1");
  CHECK(message([] { nn::Dropout(-0.5f); }) == "dropout: p must be in [0, 1), got -0.5");
}

TEST_CASE("crelu doubles the channels") {
  const Device device = Device::cpu();
  const Tensor x = floats({-1, 2, 3, -4}, {1, 2, 2}, device);
  nn::CReLU channels, last(-1);
  CHECK(channels(x).shape() == Shape{1, 4, 2});
  CHECK(channels(x).value().to_vector<float>() == Floats{0, 2, 3, 0, 1, 0, 0, 4});
  CHECK(last(x).value().to_vector<float>() == Floats{0, 2, 1, 0, 3, 0, 0, 4});
  CHECK(channels.parameter_count() == 0);
}
