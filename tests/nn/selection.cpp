// SPDX-License-Identifier: Apache-2.0
#include "nn/selection.h"

#include <doctest/doctest.h>

#include <algorithm>
#include <cmath>

#include "autograd/ops/elementwise.h"
#include "nn/init.h"
#include "nn/loss.h"
#include "nn/optim/adam.h"
#include "nn/softmax.h"
#include "tests/nn/expect.h"

using namespace fovea;
using namespace fovea::test;

TEST_CASE("a selection sums each cell's map with its weights") {
  for (const Device& device : both_devices()) {
    nn::Selection selection(2, {2, 2}, device);
    CHECK(selection.parameter_count() == 8);
    selection.weight.value.copy_from(floats({1, 3, 1, 1, 0, 1, 2, 1}, {2, 4}, device));
    const Tensor x = floats({1, 2, 3, 4, 5, 6, 7, 8}, {1, 2, 2, 2}, device);
    CHECK(selection(x).value().to_vector<float>() == Floats{2, 7});  // (0, 1, 0, 0) and (0, 1, 2, 1)/4
    CHECK(selection.weights(x).value().to_vector<float>() == Floats{0, 1, 0, 0, 0, 0.25f, 0.5f, 0.25f});
  }
}

TEST_CASE("a selection starts in U(0, 1) and refuses other maps") {
  const Device device = Device::cpu();
  nn::Selection selection(3, {20, 30}, device);
  nn::initialize(selection, 5);
  const Floats w = selection.weight.value.to_vector<float>();
  CHECK(*std::min_element(w.begin(), w.end()) >= 0);
  CHECK(*std::max_element(w.begin(), w.end()) < 1);
  CHECK(*std::max_element(w.begin(), w.end()) > 0.99);
  CHECK(message([&] {
          selection(Tensor::zeros({1, 3, 30, 20}, DType::f32, device));
        }) == "selection: x [1, 3, 30, 20] is not [B, 3, 20, 30]");
  CHECK(message([&] {
          nn::Selection(3, {0, 30}, device);
        }) == "selection: 3 cells and maps of 0×30: each must be at least 1");
}

/// The answer is the map at one place; Poisson loss and the semantic loss find it.
TEST_CASE("a selection learns the position of a cell") {
  const Device device = Device::cpu();
  nn::Selection selection(1, {3, 3}, device);
  nn::initialize(selection, 1);
  nn::Optimizer optimizer = nn::adam({nn::all_parameters(selection)}, 0.05);
  const nn::ExactlyOneLoss exactly_one{.beta = 0.1f};
  double first = 0, last = 0;
  for (std::uint32_t step = 0; step < 200; ++step) {
    const Tensor x = Tensor::uniform({32, 1, 3, 3}, {8, philox::stream_id("selection"), step}, 0, 1, device);
    Floats want, all = x.to_vector<float>();
    for (std::size_t b = 0; b < 32; ++b) want.push_back(all[9 * b + 5]);
    optimizer.zero_grad();
    Tape tape;
    const Var in = tape.input(x);
    const Var loss =
        nn::MseLoss{}(selection(in), floats(want, {32, 1}, device)) + exactly_one(selection.weights(in));
    tape.backward(loss);
    optimizer.step();
    (step == 0 ? first : last) = loss.value().item();
  }
  CHECK(last < 0.1 * first);
  const Floats p =
      selection.weights(Tensor::zeros({1, 1, 3, 3}, DType::f32, device)).value().to_vector<float>();
  CHECK(p[5] > 0.9f);
}

TEST_CASE("the semantic loss is beta times that of the weights, 0 of a row that picks one") {
  const Device device = Device::cpu();
  const Tensor even = Tensor::full({2, 4}, 0.25, DType::f32, device);
  CHECK(nn::ExactlyOneLoss{.beta = 7.0f}(even).value().item() ==
        doctest::Approx(-7.0 * 2 * 3 * std::log(0.75)));
  CHECK(nn::ExactlyOneLoss{}(floats({0, 1, 0}, {1, 3}, device)).value().item() ==
        doctest::Approx(0).epsilon(1e-5));
}

TEST_CASE("softmax modules") {
  const Device device = Device::cpu();
  nn::Softmax across, along(0);
  nn::LogSoftmax logarithm;
  const Tensor x = floats({0, std::log(3.0f), 0, 0}, {2, 2}, device);
  CHECK(across(x).value().to_vector<float>()[1] == doctest::Approx(0.75));
  CHECK(along(x).value().to_vector<float>()[1] == doctest::Approx(0.75));
  CHECK(along(x).value().to_vector<float>()[2] == doctest::Approx(0.5));
  CHECK(logarithm(x).value().to_vector<float>()[1] == doctest::Approx(std::log(0.75)));
}
