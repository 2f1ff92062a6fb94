// SPDX-License-Identifier: Apache-2.0
#include "nn/init.h"

#include <doctest/doctest.h>

#include <algorithm>
#include <cmath>

#include "nn/batch_norm.h"
#include "nn/conv2d.h"
#include "nn/linear.h"
#include "nn/sequential.h"
#include "tests/nn/expect.h"

using namespace fovea;
using namespace fovea::test;

namespace {

struct Moments {
  double mean = 0, sd = 0, largest = 0;
};

Moments moments(const nn::InitRule& rule, const Shape& shape) {
  const Tensor x = Tensor::empty(shape, DType::f32, Device::cpu());
  rule(x, {11, philox::stream_id("moments"), 0, nullptr});
  Moments m;
  const Floats values = x.to_vector<float>();
  for (const float v : values) m.mean += static_cast<double>(v) / static_cast<double>(values.size());
  for (const float v : values) {
    m.sd += (static_cast<double>(v) - m.mean) * (static_cast<double>(v) - m.mean);
    m.largest = std::max(m.largest, std::abs(static_cast<double>(v)));
  }
  m.sd = std::sqrt(m.sd / static_cast<double>(values.size()));
  return m;
}

}  // namespace

TEST_CASE("fans count the kernel") {
  CHECK(nn::init::fans({5, 7}).in == 7);
  CHECK(nn::init::fans({5, 7}).out == 5);
  CHECK(nn::init::fans({8, 40, 15, 15}).in == 9000);
  CHECK(nn::init::fans({8, 40, 15, 15}).out == 1800);
  CHECK(message([] { nn::init::fans({5}); }) ==
        "init: fan-in and fan-out need a weight [out, in, …], got shape [5]");
}

TEST_CASE("fans of a weight in groups: what an input reaches stays in its group") {
  CHECK(nn::init::fans({12, 4, 3, 3}, 2).in == 36);  // 8 channels in two groups of 4
  CHECK(nn::init::fans({12, 4, 3, 3}, 2).out == 54);
  CHECK(nn::init::fans({16, 1, 3, 3}, 16).in == 9);  // depthwise
  CHECK(nn::init::fans({16, 1, 3, 3}, 16).out == 9);
  CHECK(message([] {
          nn::init::fans({5, 1, 3, 3}, 2);
        }) == "init: 5 outputs of weight [5, 1, 3, 3] cannot be divided into 2 groups");
  CHECK(message([] {
          nn::init::fans({5, 1, 3, 3}, 0);
        }) == "init: 5 outputs of weight [5, 1, 3, 3] cannot be divided into 0 groups");
}

TEST_CASE("the rules have the moments they promise") {
  const Shape shape{80, 10, 5, 5};  // 20 000 values; in 250, out 2000
  // Standard errors at n = 20 000: mean sd/√n = 0.007·sd, sd 0.005·sd. Bounds at five of them.
  const auto check = [&](const nn::InitRule& rule, double sd, double bound) {
    const Moments m = moments(rule, shape);
    CHECK(std::abs(m.mean) < 0.036 * sd);
    CHECK(std::abs(m.sd - sd) < 0.025 * sd);
    CHECK(m.largest <= bound * (1 + 1e-6));
    CHECK(m.largest > 0.99 * std::min(bound, 3.0 * sd));
  };
  const double uniform = std::sqrt(3.0), normal = 5.8;  // of the sd; normals are cut by construction
  const auto both = [&](const nn::InitRule& rule, double sd, double reach) { check(rule, sd, sd * reach); };
  both(nn::init::uniform(0.3f), 0.3 / uniform, uniform);
  both(nn::init::normal(0.05f), 0.05, normal);
  both(nn::init::xavier_uniform(), std::sqrt(2.0 / 2250), uniform);
  both(nn::init::xavier_normal(2.0f), 2 * std::sqrt(2.0 / 2250), normal);
  both(nn::init::kaiming_uniform(), std::sqrt(2.0 / 250), uniform);
  both(nn::init::kaiming_normal(), std::sqrt(2.0 / 250), normal);
  using nn::init::Distribution, nn::init::Fan;
  both(nn::init::kaiming_normal(1.5f, Fan::out), 1.5 / std::sqrt(2000.0), normal);
  both(nn::init::kaiming_normal(1.5f, Fan::out, 4), 1.5 / std::sqrt(500.0), normal);
  const double cut = 2 / 0.87962566;  // of the standard deviation that is left
  both(nn::init::truncated_normal(0.05f), 0.05 * 0.87962566, cut);
  both(nn::init::variance_scaling(), std::sqrt(1.0 / 250), cut);
  both(nn::init::variance_scaling(0.5f, Fan::average), std::sqrt(0.5 / 1125), cut);
  both(nn::init::variance_scaling(2.0f, Fan::out, Distribution::normal), std::sqrt(2.0 / 2000), normal);
  both(nn::init::variance_scaling(2.0f, Fan::in, Distribution::uniform), std::sqrt(2.0 / 250), uniform);
  both(nn::init::variance_scaling(1.0f, Fan::out, Distribution::truncated_normal, 8), std::sqrt(1.0 / 250),
       cut);
  CHECK(message([] { nn::init::variance_scaling(0.0f); }) ==
        "variance_scaling: scale is 0, expected more than 0");
  CHECK(moments(nn::init::fan_in_uniform(0), {7}).largest == 0.0);  // a bias that nothing enters
  both(nn::init::fan_in_uniform(250), 1 / std::sqrt(250.0) / uniform, uniform);
}

TEST_CASE("a truncated normal is the normal where that is within, and equal on every device") {
  const philox::Key key{4, philox::stream_id("cut"), 0, nullptr};
  Floats all[2];
  for (const Device& device : both_devices()) {
    const Tensor x = Tensor::empty({1000}, DType::f32, device);
    nn::init::truncated_normal(0.5f)(x, key);
    all[device.kind() == DeviceKind::simt ? 1 : 0] = x.to_vector<float>();
  }
  CHECK(all[0] == all[1]);
  std::size_t redrawn = 0;
  for (std::size_t i = 0; i < all[0].size(); ++i) {
    const float normal = philox::normal_at(key, i);
    if (std::abs(normal) <= 2.0f)
      CHECK(all[0][i] == 0.5f * normal);
    else
      ++redrawn;
    CHECK(std::abs(all[0][i]) <= 1.0f);
  }
  CHECK(redrawn > 20);  // 45.5 are expected, with a standard deviation of 6.6
  CHECK(redrawn < 80);
}

TEST_CASE("a Gaussian bump is highest in the middle and falls off with its width") {
  const philox::Key key{4, philox::stream_id("bump"), 0, nullptr};
  const Tensor odd = Tensor::empty({2, 3, 5, 5}, DType::f32, Device::cpu());
  nn::init::gaussian_bump(0.5f, 2.0f, 0.0f)(odd, key);
  const Floats values = odd.to_vector<float>();
  for (std::size_t kernel = 0; kernel < 6; ++kernel) {
    CHECK(values[kernel * 25 + 12] == 0.5f);
    for (const std::size_t side : {10u, 14u, 2u, 22u})
      CHECK(values[kernel * 25 + side] == doctest::Approx(0.5 * std::exp(-0.5)));
    CHECK(values[kernel * 25] == doctest::Approx(0.5 * std::exp(-1.0)));
  }
  const Tensor noisy = Tensor::empty({1, 1, 2, 4}, DType::f32, Device::cpu());
  nn::init::gaussian_bump(1.0f, 1.0f, 0.25f)(noisy, key);
  for (std::size_t i = 0; i < 8; ++i) {
    const double across = static_cast<double>(i % 4) - 1.5;
    CHECK(noisy.to_vector<float>()[i] ==
          doctest::Approx(std::exp(-0.5 * (0.25 + across * across)) +
                          0.25 * static_cast<double>(philox::normal_at(key, i))));
  }
  CHECK(message([] { nn::init::gaussian_bump(1.0f, 0.0f, 0.0f); }) ==
        "gaussian_bump: sd_px is 0, expected more than 0");
  CHECK(message([&] {
          nn::init::gaussian_bump(1.0f, 1.0f, 0.0f)(Tensor::zeros({3, 2}, DType::f32, Device::cpu()), key);
        }) == "gaussian_bump: needs a weight [out, in, R, S], got shape [3, 2]");
}

TEST_CASE("values depend on seed and name, not on the order of construction or the device") {
  const Device cpu = Device::cpu(), simt = Device::simt();
  nn::Sequential a, b, c;
  a.add_named<nn::Linear>("first", 6, 5, cpu);
  a.add_named<nn::Linear>("second", 6, 5, cpu);
  b.add_named<nn::Linear>("second", 6, 5, cpu);
  b.add_named<nn::Linear>("extra", 3, 3, cpu);
  b.add_named<nn::Linear>("first", 6, 5, cpu);
  c.add_named<nn::Linear>("first", 6, 5, simt);
  for (nn::Sequential* net : {&a, &b, &c}) nn::initialize(*net, 5);
  const auto get = [](const nn::Module& net, const char* name) {
    return net.state().at(name).to_vector<float>();
  };
  CHECK(get(a, "first.weight") == get(b, "first.weight"));
  CHECK(get(a, "second.bias") == get(b, "second.bias"));
  CHECK(get(a, "first.weight") == get(c, "first.weight"));
  CHECK(get(a, "first.weight") != get(a, "second.weight"));

  const Floats before = get(a, "first.weight");
  nn::initialize(a[0], 5);  // a part alone draws what the whole drew
  CHECK(get(a, "first.weight") == before);
  nn::initialize(a, 6);
  CHECK(get(a, "first.weight") != before);
}

TEST_CASE("rules by role leave normalisation alone; a forgotten initialize shows as NaN") {
  const Device device = Device::cpu();
  nn::Sequential net;
  net.add<nn::Conv2d>(2, 3, 3, device);
  net.add<nn::BatchNorm>(3, device);
  const nn::State state = net.state();
  CHECK(std::isnan(state.at("0.weight").to_vector<float>()[0]));
  CHECK(std::isnan(state.at("0.bias").to_vector<float>()[0]));
  nn::initialize(net, 1, {.weights = nn::init::constant(0.25f), .biases = nn::init::constant(0.0f)});
  CHECK(state.at("0.weight").to_vector<float>() == Floats(54, 0.25f));
  CHECK(state.at("0.bias").to_vector<float>() == Floats(3, 0.0f));
  CHECK(state.at("1.weight").to_vector<float>() == Floats(3, 1.0f));
  CHECK(state.at("1.bias").to_vector<float>() == Floats(3, 0.0f));
}
