// SPDX-License-Identifier: Apache-2.0
#include "nn/optim/clip.h"

#include <doctest/doctest.h>

#include <cmath>

#include "nn/linear.h"
#include "tests/nn/expect.h"

using namespace fovea;
using namespace fovea::test;

namespace {

void set_gradients(nn::Linear& layer, const Floats& weight, const Floats& bias) {
  const Device& device = layer.weight.value.device();
  layer.weight.grad = floats(weight, layer.weight.value.shape(), device);
  layer.bias.grad = floats(bias, layer.bias.value.shape(), device);
}

}  // namespace

TEST_CASE("gradients are clipped by the norm of all of them together") {
  for (const Device& device : both_devices()) {
    nn::Linear layer(2, 2, device);
    const auto parameters = layer.named_parameters();
    CHECK(nn::gradient_norm(parameters).item() == 0.0);  // there are none yet
    set_gradients(layer, {4, 0, 0, 12}, {0, 3});
    CHECK(nn::gradient_norm(parameters).item() == 13.0);
    CHECK(nn::clip_gradients_by_norm(parameters, 20.0).item() == 13.0);
    CHECK(layer.weight.grad.to_vector<float>() == Floats{4, 0, 0, 12});
    CHECK(nn::clip_gradients_by_norm(parameters, 6.5).item() == 13.0);
    CHECK(layer.weight.grad.to_vector<float>()[3] == doctest::Approx(6.0));
    CHECK(layer.bias.grad.to_vector<float>()[1] == doctest::Approx(1.5));
    layer.bias.grad = Tensor();  // counts as 0
    CHECK(nn::gradient_norm(parameters).item() == doctest::Approx(std::sqrt(40.0)));
  }
}

TEST_CASE("gradients are clipped by value, number by number") {
  for (const Device& device : both_devices()) {
    nn::Linear layer(2, 1, device);
    set_gradients(layer, {4, -0.25f}, {-3});
    nn::clip_gradients_by_value(layer.named_parameters(), 0.5);
    CHECK(layer.weight.grad.to_vector<float>() == Floats{0.5, -0.25});
    CHECK(layer.bias.grad.to_vector<float>() == Floats{-0.5});
  }
}

TEST_CASE("clipping refuses what makes no sense") {
  nn::Linear layer(2, 1, Device::cpu()), elsewhere(2, 1, Device::simt());
  auto parameters = layer.named_parameters();
  CHECK(message([&] { nn::clip_gradients_by_norm(parameters, 0.0); }) ==
        "clip_gradients_by_norm: max_norm is 0, expected more than 0");
  CHECK(message([&] { nn::clip_gradients_by_value(parameters, -1.0); }) ==
        "clip_gradients_by_value: limit is -1, expected more than 0");
  CHECK(message([] { nn::gradient_norm({}); }) == "gradient_norm: there is no parameter");
  parameters.push_back(parameters[0]);
  CHECK(message([&] { nn::gradient_norm(parameters); }) ==
        "gradient_norm: the parameter 'weight' is given twice");
  parameters.back() = elsewhere.named_parameters()[0];
  CHECK(message([&] { nn::clip_gradients_by_value(parameters, 1.0); }) ==
        "clip_gradients_by_value: the parameter 'weight' is on simt, but 'weight' is on cpu");
}
