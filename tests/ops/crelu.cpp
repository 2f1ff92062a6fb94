// SPDX-License-Identifier: Apache-2.0
#include "autograd/ops/crelu.h"

#include <doctest/doctest.h>

#include <cmath>
#include <limits>

#include "tests/op_case.h"

namespace fovea::test {
namespace {

/// params: dim.
TEST_CASE("crelu") {
  check({
      .info = crelu_info,
      .samples = {{{{2, 3}}, {1}},
                  {{{5}}, {0}},
                  {{{1, 1}}, {1}},
                  {{{0, 3}}, {1}},
                  {{{2, 0, 3}}, {1}},
                  {{{2, 3, 5, 7}}, {1}},
                  {{{3, 4, 2}}, {1}},  // packs
                  {{{2, 3, 4}}, {-1}, DType::f64},
                  {{{3, 65}}, {0}},
                  {{{33, 31}}, {1}},
                  {{{4, 33, 16, 17}}, {1}, DType::f32, true}},
      .apply = [](std::span<const Var> in,
                  const Sample& s) { return crelu(in[0], static_cast<int>(s.params[0])); },
      .reference =
          [](std::span<const Doubles> in, const Sample& s) {
            const int d = normalize_dim("test", static_cast<int>(s.params[0]), s.shapes[0]);
            std::size_t outer = 1;
            for (int k = 0; k < d; ++k) outer *= static_cast<std::size_t>(s.shapes[0][k]);
            const std::size_t inner = outer > 0 ? in[0].size() / outer : 0;
            Doubles y;
            for (std::size_t o = 0; o < outer; ++o)
              for (const double sign : {1.0, -1.0})
                for (std::size_t i = 0; i < inner; ++i)
                  y.push_back(std::max(sign * in[0][o * inner + i], 0.0));
            return y;
          },
      .value = [](int, std::int64_t, double n) { return n + std::copysign(0.1, n); },
      .rejects = {{"no channels", [](const Device& d) { crelu(Tensor::zeros({2}, DType::f32, d)); },
                   "crelu: dimension 1 is outside of x [2] of rank 1"},
                  {"integers",
                   [](const Device& d) {
                     crelu(Tensor::zeros({2, 3}, DType::i64, d));
                   },
                   "crelu: x [2, 3] is i64, expected f32 or f64; convert it with to()"}},
  });
}

TEST_CASE("crelu_of_zero_and_nan") {
  for (const Device& device : devices()) {
    Tape tape;
    const Var x = tape.leaf(
        Tensor::from(std::vector<float>{0, std::numeric_limits<float>::quiet_NaN(), -2}, {1, 3}, device));
    const Var y = crelu(x);
    const auto values = y.value().to_vector<float>();
    for (const std::size_t i : {1u, 4u}) CHECK(std::isnan(values[i]));
    CHECK(values[0] == 0.0f);
    CHECK(values[5] == 2.0f);
    const Tape::Root root{y, Tensor::full({1, 6}, 3, DType::f32, device)};
    tape.backward(std::span(&root, 1));
    CHECK(tape.grad(x).to_vector<float>() == std::vector<float>{0, 0, -3});
  }
}

}  // namespace
}  // namespace fovea::test
