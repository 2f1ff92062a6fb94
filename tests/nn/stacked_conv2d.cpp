// SPDX-License-Identifier: Apache-2.0
#include "nn/stacked_conv2d.h"

#include <doctest/doctest.h>

#include "autograd/ops/conv2d.h"
#include "nn/init.h"
#include "nn/scale_shift.h"
#include "tests/nn/expect.h"

using namespace fovea;
using namespace fovea::nn;
using namespace fovea::test;

namespace {

const Device& host() {
  static const Device device = Device::cpu({.threads = 1});
  return device;
}

Tensor normals(const Shape& shape) {
  return Tensor::normal(shape, {3, philox::stream_id("stacked"), 0, nullptr}, 0, 1, host());
}

}  // namespace

TEST_CASE("a chain of small convolutions is the one filter it collapses to") {
  struct Chain {
    std::int64_t kernel;
    StackedConvOptions options;
    std::vector<std::int64_t> sides;
  };
  for (const Chain& chain :
       {Chain{15, {}, {3, 3, 3, 3, 3, 3, 3}}, Chain{11, {.bias = false}, {3, 3, 3, 3, 3}},
        Chain{11, {.one_to_one = true}, {3, 3, 3, 3, 3}}, Chain{3, {}, {3}}, Chain{6, {}, {3, 3, 2}},
        Chain{9, {.piece = 4}, {4, 4, 3}}}) {
    CAPTURE(chain.kernel);
    StackedConv2d conv(5, 4, chain.kernel, host(), chain.options);
    initialize(conv, 1);
    conv.eval();
    std::vector<std::int64_t> sides;
    for (const auto& piece : conv.pieces()) sides.push_back(piece->weight.value.size(2));
    CHECK(sides == chain.sides);
    const Tensor x = normals({2, 5, 19, 17}), weight = conv.collapsed();
    CHECK(weight.shape() == Shape{4, 5, chain.kernel, chain.kernel});
    const Var bias = conv.bias().value.defined() ? Var(conv.bias().value) : Var();
    const Floats by_chain = conv(x).value().to_vector<float>(),
                 at_once = conv2d(x, weight, bias).value().to_vector<float>();
    REQUIRE(by_chain.size() == at_once.size());
    for (std::size_t i = 0; i < at_once.size(); ++i)
      CHECK(by_chain[i] == doctest::Approx(at_once[i]).epsilon(1e-5).scale(1.0));
  }
}

TEST_CASE("dropout stands between the pieces of a chain, in training only") {
  StackedConv2d conv(2, 2, 5, host(), {.dropout = 0.5f});
  initialize(conv, 1);
  const Tensor x = normals({1, 2, 9, 9});
  const auto trained = [&](std::uint32_t step) {
    Tape tape({.seed = 1, .step = step});
    return conv(tape.input(x)).value().to_vector<float>();
  };
  CHECK(trained(0) == trained(0));
  CHECK(trained(0) != trained(1));
  conv.eval();
  CHECK(trained(0) == trained(1));
}

TEST_CASE("pieces that make no chain are refused") {
  CHECK(message([] { StackedConv2d(1, 1, 2, host()); }) ==
        "stacked_conv2d: pieces of 3 do not make a kernel of 2: need 2 ≤ piece ≤ kernel");
  CHECK(message([] { StackedConv2d(1, 1, 5, host(), {.piece = 1}); }) ==
        "stacked_conv2d: pieces of 1 do not make a kernel of 5: need 2 ≤ piece ≤ kernel");
}

TEST_CASE("each unit has its scale and shift") {
  ScaleShift layer({2, 2}, host());
  initialize(layer, 1);
  const Tensor x = Tensor::from(Floats{1, 2, 3, 4, 5, 6, 7, 8}, {2, 2, 2}, host());
  CHECK(layer(x).value().to_vector<float>() == x.to_vector<float>());
  layer.weight.value.copy_from(Tensor::from(Floats{1, 2, 3, 4}, {2, 2}, host()));
  layer.bias.value.copy_from(Tensor::from(Floats{0, 0, 1, 1}, {2, 2}, host()));
  CHECK(layer(x).value().to_vector<float>() == Floats{1, 4, 10, 17, 5, 12, 22, 33});
  CHECK(message([&] {
          (void)layer(Tensor::zeros({2, 2, 3}, DType::f32, host()));
        }).find("x [2, 2, 3] does not have the units [2, 2] after its first extent") != std::string::npos);
}
