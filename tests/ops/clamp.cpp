// SPDX-License-Identifier: Apache-2.0
#include "autograd/ops/clamp.h"

#include <doctest/doctest.h>

#include <cmath>
#include <limits>

#include "tests/op_case.h"

namespace fovea::test {
namespace {

constexpr double kLow = -0.5, kHigh = 0.75;
constexpr double kInfinity = std::numeric_limits<double>::infinity(),
                 kNan = std::numeric_limits<double>::quiet_NaN();

TEST_CASE("clamp") {
  const auto rejected = [](double low, double high) {
    return [=](const Device& d) { clamp(Tensor::zeros({2}, DType::f32, d), low, high); };
  };
  check({
      .info = clamp_info,
      .samples = {{{{3, 5}}},
                  {{{}}},
                  {{{1}}},
                  {{{0}}},
                  {{{64}}},
                  {{{65}}},
                  {{{1023}}},
                  {{{33}}, {}, DType::f64},
                  {{{16385}}, {}, DType::f32, true}},
      .apply = [](std::span<const Var> in, const Sample&) { return clamp(in[0], kLow, kHigh); },
      .reference =
          [](std::span<const Doubles> in, const Sample&) {
            Doubles y = in[0];
            for (double& v : y) v = std::min(std::max(v, kLow), kHigh);
            return y;
          },
      .value =
          [](int, std::int64_t, double n) {  // no closer than 0.05 to a kink
            return std::abs(n - kLow) < 0.05 || std::abs(n - kHigh) < 0.05 ? n + 0.125 : n;
          },
      .rejects = {{"bounds the wrong way round", rejected(1, -1),
                   "clamp: low 1 and high -1 for x [2]: expected low ≤ high"},
                  {"a bound that is no number", rejected(kNan, 1),
                   "clamp: low nan and high 1 for x [2]: expected low ≤ high"},
                  {"integers", [](const Device& d) { clamp(Tensor::zeros({2}, DType::i64, d), 0, 1); },
                   "clamp: x [2] is i64, expected f32 or f64; convert it with to()"}},
  });
}

TEST_CASE("clamp_at_its_bounds") {
  using Floats = std::vector<float>;
  for (const Device& device : devices())
    for (const DType dtype : {DType::f32, DType::f64}) {
      CAPTURE(device.description());
      Tape tape;
      const Var x = tape.leaf(
          Tensor::from(std::vector<double>{-kInfinity, -1, -0.5, 0, 0.75, 1, kInfinity, kNan}, {8}, device)
              .to(dtype));
      const Var y = clamp(x, kLow, kHigh);
      const Floats values = y.value().to_vector<float>();
      CHECK(Floats(values.begin(), values.end() - 1) == Floats{-0.5f, -0.5f, -0.5f, 0, 0.75f, 0.75f, 0.75f});
      CHECK(std::isnan(values.back()));
      const Tape::Root root{y, Tensor::full({8}, 3, dtype, device)};
      tape.backward(std::span(&root, 1));
      CHECK(tape.grad(x).to_vector<float>() == Floats{0, 0, 3, 3, 3, 0, 0, 0});
      CHECK(clamp(x, 0, kInfinity).value().to_vector<float>()[6] == std::numeric_limits<float>::infinity());
    }
}

}  // namespace
}  // namespace fovea::test
