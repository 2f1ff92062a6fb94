// SPDX-License-Identifier: Apache-2.0
#include "autograd/ops/labels.h"

#include <doctest/doctest.h>

#include <cmath>
#include <limits>

#include "tests/op_case.h"

namespace fovea::test {
namespace {

using Indices = std::vector<std::int64_t>;
using Floats = std::vector<float>;

constexpr float kNan = std::numeric_limits<float>::quiet_NaN(),
                kInfinity = std::numeric_limits<float>::infinity();

/// params: dim, keepdim.
TEST_CASE("argmax") {
  check({
      .info = argmax_info,
      .samples = {{{{3, 5}}, {1, 0}},
                  {{{3, 5}}, {0, 1}},
                  {{{1}}, {0, 0}},
                  {{{0, 3}}, {1, 0}},
                  {{{3, 0}}, {0, 0}},
                  {{{33, 31}}, {1, 0}},
                  {{{9, 32}}, {1, 0}},
                  {{{3, 33}}, {-1, 1}, DType::f64},
                  {{{2, 300}}, {1, 0}},
                  {{{2, 7, 65}}, {1, 0}},
                  {{{2, 3, 5, 4}}, {-3, 0}, DType::f64},
                  {{{300, 70}}, {1, 0}, DType::f32, true},
                  {{{20, 30, 40}}, {1, 0}, DType::f32, true}},
      .apply = [](std::span<const Var> in,
                  const Sample& s) { return argmax(in[0], static_cast<int>(s.params[0]), s.params[1] != 0); },
      .reference =
          [](std::span<const Doubles> in, const Sample& s) {
            const Shape& shape = s.shapes[0];
            const int d = normalize_dim("test", static_cast<int>(s.params[0]), shape);
            std::int64_t outer = 1, inner = 1;
            for (int k = 0; k < shape.rank(); ++k) (k < d ? outer : inner) *= k == d ? 1 : shape[k];
            Doubles y;
            for (std::int64_t o = 0; o < outer; ++o)
              for (std::int64_t i = 0; i < inner; ++i) {
                const auto at = [&](std::int64_t k) {
                  return in[0][static_cast<std::size_t>((o * shape[d] + k) * inner + i)];
                };
                std::int64_t best = 0;
                for (std::int64_t k = 1; k < shape[d]; ++k)
                  if (at(k) > at(best)) best = k;
                y.push_back(static_cast<double>(best));
              }
            return y;
          },
      .rejects = {{"nothing to choose from",
                   [](const Device& d) {
                     argmax(Tensor::zeros({2, 0}, DType::f32, d), 1);
                   },
                   "argmax: x [2, 0] has no elements along dimension 1"},
                  {"integers", [](const Device& d) { argmax(Tensor::zeros({2}, DType::i64, d), 0); },
                   "argmax: x [2] is i64, expected f32 or f64; convert it with to()"},
                  {"a gradient",
                   [](const Device& d) {
                     Tape tape;
                     argmax(tape.leaf(Tensor::zeros({2}, DType::f32, d)), 0);
                   },
                   "argmax: has no gradient, but its input [2] needs one; detach() it first"}},
  });
}

TEST_CASE("argmax_of_equal_values_and_nan") {
  for (const Device& device : devices()) {
    CAPTURE(device.description());
    const auto at = [&](const Floats& x, int dim, const Shape& shape) {
      return argmax(Tensor::from(x, shape, device), dim).value().to_vector<std::int64_t>();
    };
    CHECK(at({2, 3, 3, 1}, 0, {4}) == Indices{1});
    CHECK(at({2, 2, 3, 1, 3, 1}, 0, {3, 2}) == Indices{1, 0});
    CHECK(at(Floats(70, -kInfinity), 0, {70}) == Indices{0});
    CHECK(at({1, kNan, kInfinity, kNan}, 0, {4}) == Indices{1});
    CHECK(at({1, 5, kNan, 4, kNan, 6}, 0, {3, 2}) == Indices{1, 2});
    Floats row(100, 0.0f);
    row[40] = row[72] = row[99] = 1.0f;  // two of them in one lane of a warp
    CHECK(at(row, 0, {100}) == Indices{40});
    row[71] = row[98] = kNan;
    CHECK(at(row, 0, {100}) == Indices{71});
    Floats equal(200, 0.0f);  // one value in two columns of the host's search, the later column first
    equal[70] = equal[63] = equal[130] = 2.0f;
    CHECK(at(equal, 0, {200}) == Indices{63});
    equal[199] = 3.0f;
    CHECK(at(equal, 0, {200}) == Indices{199});
    CHECK(argmax(Tensor::zeros({2, 3}, DType::f32, device), -1, true).shape() == Shape{2, 1});
  }
}

/// params: classes; label i is (3i + 1) mod classes.
TEST_CASE("one_hot") {
  const auto label = [](const Sample& s, std::int64_t i) { return (3 * i + 1) % s.params[0]; };
  check({
      .info = one_hot_info,
      .samples = {{{{5}}, {3}},
                  {{{}}, {4}},
                  {{{1}}, {1}},
                  {{{0}}, {3}},
                  {{{2, 3}}, {8}},
                  {{{33}}, {10}},
                  {{{65}}, {4}},
                  {{{300}}, {100}, DType::f32, true}},
      .apply =
          [=](std::span<const Var> in, const Sample& s) {
            Indices labels;
            for (std::int64_t i = 0; i < s.shapes[0].numel(); ++i) labels.push_back(label(s, i));
            return one_hot(constant(labels, s.shapes[0], in[0].device()), s.params[0]);
          },
      .reference =
          [=](std::span<const Doubles>, const Sample& s) {
            Doubles y;
            for (std::int64_t i = 0; i < s.shapes[0].numel(); ++i)
              for (std::int64_t c = 0; c < s.params[0]; ++c) y.push_back(c == label(s, i) ? 1 : 0);
            return y;
          },
      .rejects = {{"labels of floats", [](const Device& d) { one_hot(Tensor::zeros({2}, DType::f32, d), 3); },
                   "one_hot: labels [2] is f32, expected i64; convert it with to()"},
                  {"no classes", [](const Device& d) { one_hot(Tensor::zeros({2}, DType::i64, d), 0); },
                   "one_hot: classes is 0 for labels [2], expected at least 1"}},
  });
}

TEST_CASE("one_hot_out_of_range") {
  for (const Device& device : devices())
    for (const std::int64_t classes : {3, 4}) {
      const Tensor labels = Tensor::from(Indices{-1, 2, classes}, {3}, device);
      const Floats y = one_hot(labels, classes).value().to_vector<float>();
      for (std::int64_t c = 0; c < classes; ++c) {
        CHECK(std::isnan(y[static_cast<std::size_t>(c)]));
        CHECK(y[static_cast<std::size_t>(classes + c)] == (c == 2 ? 1.0f : 0.0f));
        CHECK(std::isnan(y[static_cast<std::size_t>(2 * classes + c)]));
      }
    }
}

}  // namespace
}  // namespace fovea::test
