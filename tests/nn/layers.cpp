// SPDX-License-Identifier: Apache-2.0
#include <doctest/doctest.h>

#include <cmath>

#include "autograd/ops/reduce.h"
#include "nn/activation.h"
#include "nn/batch_norm.h"
#include "nn/conv2d.h"
#include "nn/flatten.h"
#include "nn/init.h"
#include "nn/linear.h"
#include "nn/noise.h"
#include "nn/sequential.h"
#include "tensor/views.h"
#include "tests/nn/expect.h"

using namespace fovea;
using namespace fovea::test;

namespace {

Tensor normals(const Shape& shape, const Device& device, float mean = 0.0f, float sd = 1.0f) {
  return Tensor::normal(shape, {3, philox::stream_id("layers"), 0, nullptr}, mean, sd, device);
}

}  // namespace

TEST_CASE("linear is x·weightᵀ + bias") {
  for (const Device& device : both_devices()) {
    nn::Linear linear(3, 2, device);
    linear.weight.value.copy_from(floats({1, 2, 3, 4, 5, 6}, {2, 3}, device));
    linear.bias.value.copy_from(floats({10, 20}, {2}, device));
    CHECK(linear(floats({1, 0, -1, 2, 1, 0}, {2, 3}, device)).value().to_vector<float>() ==
          Floats{8, 18, 14, 33});
    nn::Linear plain(3, 2, device, {.bias = false});
    plain.weight.value.copy_from(linear.weight.value);
    CHECK(plain(floats({1, 0, -1}, {1, 3}, device)).value().to_vector<float>() == Floats{-2, -2});
  }
}

TEST_CASE("layers name themselves when an input does not fit") {
  const Device device = Device::cpu();
  nn::Sequential net;
  net.add_named<nn::Linear>("fc", 3, 2, device);
  net.add_named<nn::Conv2d>("conv", 2, 4, 5, device);
  net.add_named<nn::BatchNorm>("bn", 4, device);
  net.add_named<nn::BatchNorm>("unit", 12, device,
                               nn::BatchNormOptions{.statistics = nn::Statistics::per_unit});
  const auto zeros = [&](const Shape& shape) { return Tensor::zeros(shape, DType::f32, device); };
  CHECK(message([&] {
          net[0](zeros({2, 5}));
        }) == "linear 'fc': x [2, 5] is not [B, 3], which weight [2, 3] expects");
  CHECK(
      message([&] {
        net[1](zeros({1, 3, 8, 8}));
      }) ==
      "conv2d 'conv': x [1, 3, 8, 8] is not [B, 2, H, W] with H and W of at least 5, as weight [4, 2, 5, 5] "
      "and padding 0 expect");
  CHECK(
      message([&] {
        net[1](zeros({1, 2, 8, 4}));
      }) ==
      "conv2d 'conv': x [1, 2, 8, 4] is not [B, 2, H, W] with H and W of at least 5, as weight [4, 2, 5, 5] "
      "and padding 0 expect");
  CHECK(message([&] {
          net[2](zeros({2, 3, 2, 2}));
        }) == "batch_norm 'bn': x [2, 3, 2, 2] does not have the 4 channels that its statistics are for");
  CHECK(message([&] {
          net[3](zeros({2, 3, 2, 3}));
        }) == "batch_norm 'unit': x [2, 3, 2, 3] does not have the 12 units that its statistics are for");
  CHECK(message([&] { nn::Linear(3, 2, device)(zeros({3})); }) ==
        "linear: x [3] is not [B, 3], which weight [2, 3] expects");
}

TEST_CASE("conv2d slides its kernel, padded or not, with or without bias") {
  for (const Device& device : both_devices()) {
    const Tensor x = floats({1, 2, 3, 4, 5, 6, 7, 8, 9}, {1, 1, 3, 3}, device);
    nn::Conv2d valid(1, 1, 2, device);
    valid.weight.value.copy_from(floats({1, 10, 100, 1000}, {1, 1, 2, 2}, device));
    valid.bias.value.fill(0.5);
    CHECK(valid(x).value().to_vector<float>() == Floats{5421.5, 6532.5, 8754.5, 9865.5});
    nn::Conv2d same(1, 1, 3, device, {.padding = 1, .bias = false});
    same.weight.value.copy_from(floats({0, 0, 0, 0, 0, 1, 0, 0, 0}, {1, 1, 3, 3}, device));
    CHECK(same(x).value().to_vector<float>() == Floats{2, 3, 0, 5, 6, 0, 8, 9, 0});
  }
}

TEST_CASE("windows that roll over a movie pass through a convolution as their copies do") {
  const Device device = Device::cpu();
  nn::Conv2d conv(4, 3, 5, device);
  nn::initialize(conv, 9);
  const Tensor windows = rolling_window(normals({9, 8, 8}, device), 4);
  CHECK_FALSE(windows.is_contiguous());
  CHECK(conv(windows).value().to_vector<float>() == conv(windows.clone()).value().to_vector<float>());
}

TEST_CASE("activations and flatten") {
  const Device device = Device::cpu();
  const Tensor x = floats({-1, 0, 2}, {1, 3, 1}, device);
  const auto values = [&](nn::Module& module) { return module(x).value().to_vector<float>(); };
  nn::ReLU relu;
  nn::Softplus softplus;
  nn::Sigmoid sigmoid;
  nn::Tanh tanh;
  nn::ELU elu;
  nn::Exp exp;
  CHECK(values(relu) == Floats{0, 0, 2});
  CHECK(values(softplus)[1] == doctest::Approx(std::log(2.0)));
  CHECK(values(softplus)[2] == doctest::Approx(std::log1p(std::exp(2.0))));
  CHECK(values(sigmoid)[2] == doctest::Approx(1 / (1 + std::exp(-2.0))));
  CHECK(values(tanh)[0] == doctest::Approx(std::tanh(-1.0)));
  CHECK(values(elu)[0] == doctest::Approx(std::expm1(-1.0)));
  CHECK(values(elu)[2] == 2.0f);
  CHECK(values(exp)[2] == doctest::Approx(std::exp(2.0)));
  nn::Flatten flatten;
  CHECK(flatten(Tensor::zeros({2, 3, 4, 5}, DType::f32, device)).shape() == Shape{2, 60});
}

TEST_CASE("noise is fresh in training, absent after eval, and equal on all devices") {
  const Shape shape{4, 1000};
  std::vector<Floats> seen;
  for (const Device& device : both_devices()) {
    nn::Sequential net;
    net.add_named<nn::GaussianNoise>("noise1", 0.5f);
    net.add_named<nn::GaussianNoise>("noise2", 0.5f);
    const Tensor x = Tensor::zeros(shape, DType::f32, device);
    Tape tape({.seed = 7, .step = 3}), same({.seed = 7, .step = 3}), next({.seed = 7, .step = 4});
    const Floats y = net[0](tape.input(x)).value().to_vector<float>();
    CHECK(net[0](same.input(x)).value().to_vector<float>() == y);
    CHECK(net[0](next.input(x)).value().to_vector<float>() != y);
    CHECK(net[1](tape.input(x)).value().to_vector<float>() != y);
    double mean = 0, square = 0;
    for (const float v : y) {
      mean += static_cast<double>(v) / 4000;
      square += static_cast<double>(v) * static_cast<double>(v) / 4000;
    }
    CHECK(std::abs(mean) < 5 * 0.5 / std::sqrt(4000.0));  // five standard errors
    CHECK(std::abs(std::sqrt(square) - 0.5) < 5 * 0.5 / std::sqrt(8000.0));
    seen.push_back(y);
    CHECK(message([&] { net[0](x); }) ==
          "gaussian_noise 'noise1': training draws from the tape's seed and step, but x [4, 1000] is on no "
          "tape; pass tape.input(x), or call eval() for inference");
    net.eval();
    CHECK(net(x).value().to_vector<float>() == Floats(4000, 0.0f));
  }
  CHECK(seen[0] == seen[1]);
  CHECK(message([] { nn::GaussianNoise(-1.0f); }) ==
        "gaussian_noise: sigma must be at least 0 and finite, got -1");
}

TEST_CASE("batch norm whitens a batch per channel or per unit, and keeps running values") {
  for (const Device& device : both_devices()) {
    const Tensor x = normals({16, 2, 3, 1}, device, 5.0f, 2.0f);
    const Floats input = x.to_vector<float>();
    for (const nn::Statistics statistics : {nn::Statistics::per_channel, nn::Statistics::per_unit}) {
      const bool per_unit = statistics == nn::Statistics::per_unit;
      const std::int64_t features = per_unit ? 6 : 2, inner = per_unit ? 1 : 3, count = 16 * inner;
      nn::BatchNorm norm(features, device, {.statistics = statistics, .momentum = 0.25f});
      nn::initialize(norm, 0);
      const Var y = norm(x);
      REQUIRE(y.shape() == x.shape());
      const Floats output = y.value().to_vector<float>();
      const Floats mean = norm.running_mean.to_vector<float>(), var = norm.running_var.to_vector<float>();
      for (std::int64_t f = 0; f < features; ++f) {
        double sum = 0, squares = 0, out_sum = 0, out_squares = 0;
        for (std::int64_t n = 0; n < 16; ++n)
          for (std::int64_t i = 0; i < inner; ++i) {
            const auto k = static_cast<std::size_t>(n * 6 + f * inner + i);
            sum += static_cast<double>(input[k]);
            squares += static_cast<double>(input[k]) * static_cast<double>(input[k]);
            out_sum += static_cast<double>(output[k]);
            out_squares += static_cast<double>(output[k]) * static_cast<double>(output[k]);
          }
        const double m = sum / static_cast<double>(count), v = squares / static_cast<double>(count) - m * m;
        const double unbiased = v * static_cast<double>(count) / static_cast<double>(count - 1);
        CHECK(std::abs(out_sum / static_cast<double>(count)) < 1e-5);
        CHECK(out_squares / static_cast<double>(count) == doctest::Approx(v / (v + 1e-3)).epsilon(1e-4));
        CHECK(mean[static_cast<std::size_t>(f)] == doctest::Approx(0.25 * m).epsilon(1e-5));
        CHECK(var[static_cast<std::size_t>(f)] == doctest::Approx(0.75 + 0.25 * unbiased).epsilon(1e-4));
      }
    }
  }
}

TEST_CASE("after eval batch norm uses its running values and leaves them alone") {
  const Device device = Device::cpu();
  nn::BatchNorm norm(2, device, {.eps = 1.0f});
  nn::initialize(norm, 0);
  norm.running_mean.copy_from(floats({1, 2}, {2}, device));
  norm.running_var.copy_from(floats({3, 15}, {2}, device));  // with eps, sd of 2 and 4
  norm.weight.value.copy_from(floats({2, -4}, {2}, device));
  norm.bias.value.copy_from(floats({10, 20}, {2}, device));
  norm.eval();
  const Tensor x = floats({3, 6, 1, 2}, {2, 2}, device);
  CHECK(norm(x).value().to_vector<float>() == Floats{12, 16, 10, 20});
  CHECK(norm.running_mean.to_vector<float>() == Floats{1, 2});

  nn::BatchNorm absolute(2, device, {.eps = 1.0f, .absolute_scale = true});
  absolute.load_state(norm.state());
  absolute.eval();
  CHECK(absolute(x).value().to_vector<float>() == Floats{12, 24, 10, 20});
  Tape tape;
  tape.backward(sum(absolute(tape.input(x))));
  CHECK(absolute.weight.grad.to_vector<float>() == Floats{1, -1});  // Σ(x - mean)/sd, with the sign of weight
  CHECK(absolute.bias.grad.to_vector<float>() == Floats{2, 2});

  nn::BatchNorm plain(2, device, {.eps = 1.0f, .affine = false});
  CHECK(plain.parameter_count() == 0);
  plain.running_mean.copy_from(norm.running_mean);
  plain.running_var.copy_from(norm.running_var);
  plain.eval();
  CHECK(plain(x).value().to_vector<float>() == Floats{1, 1, 0, 0});
}
