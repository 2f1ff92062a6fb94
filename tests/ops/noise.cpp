// SPDX-License-Identifier: Apache-2.0
#include "autograd/ops/noise.h"

#include <doctest/doctest.h>

#include <cmath>
#include <limits>

#include "tests/op_case.h"

namespace fovea::test {
namespace {

constexpr philox::Key kKey{5, philox::stream_id("test.noise"), 9};
constexpr float kSigma = 0.75f;

Doubles noisy(const Doubles& x, bool magnitude) {
  Doubles y = x;
  for (std::size_t i = 0; i < y.size(); ++i) {
    const double n = static_cast<double>(kSigma) * static_cast<double>(philox::normal_at(kKey, i));
    y[i] = magnitude ? std::abs(x[i]) + std::abs(n) : x[i] + n;
  }
  return y;
}

TEST_CASE("gaussian_noise") {
  check({
      .info = gaussian_noise_info,
      .samples = {{{{3, 5}}},
                  {{{}}},
                  {{{0}}},
                  {{{1}}},
                  {{{3}}},
                  {{{4}}},
                  {{{63}}},
                  {{{64}}},
                  {{{65}}},
                  {{{1023}}},
                  {{{2, 3, 7, 5}}},
                  {{{16383}}, {}, DType::f32, true},
                  {{{16385}}, {}, DType::f32, true}},
      .apply = [](std::span<const Var> in, const Sample&) { return gaussian_noise(in[0], kSigma, kKey); },
      .reference = [](std::span<const Doubles> in, const Sample&) { return noisy(in[0], false); },
      .magnitude = [](std::span<const Doubles> in, const Sample&) { return noisy(in[0], true); },
      .rejects = {{"a negative sigma",
                   [](const Device& d) { gaussian_noise(Tensor::zeros({2}, DType::f32, d), -1.0f, kKey); },
                   "gaussian_noise: sigma is -1, expected a finite number of at least 0"},
                  {"an infinite sigma",
                   [](const Device& d) {
                     gaussian_noise(Tensor::zeros({2}, DType::f32, d), std::numeric_limits<float>::infinity(),
                                    kKey);
                   },
                   "gaussian_noise: sigma is inf, expected a finite number of at least 0"},
                  {"f64",
                   [](const Device& d) { gaussian_noise(Tensor::zeros({2}, DType::f64, d), 1.0f, kKey); },
                   "gaussian_noise: x [2] is f64, expected f32; convert it with to()"}},
  });
}

TEST_CASE("noise_of_sigma_zero") {
  for (const Device& device : devices()) {
    const Tensor x = Tensor::uniform({65}, kKey, -1, 1, device);
    CHECK(gaussian_noise(x, 0.0f, kKey).value().to_vector<float>() == x.to_vector<float>());
  }
}

/// A captured step replays with a new step number: it is read when the kernel runs.
TEST_CASE("noise_reads_the_step_on_the_device") {
  for (const Device& device : devices()) {
    const Tensor step = Tensor::from(std::vector<std::int32_t>{77}, {1}, device);
    philox::Key key = kKey;
    key.device_step = reinterpret_cast<const std::uint32_t*>(step.data<std::int32_t>());
    philox::Key same = kKey;
    same.step = 77;
    const Tensor x = Tensor::zeros({130}, DType::f32, device);
    CHECK(gaussian_noise(x, 1.0f, key).value().to_vector<float>() ==
          gaussian_noise(x, 1.0f, same).value().to_vector<float>());
  }
}

}  // namespace
}  // namespace fovea::test
