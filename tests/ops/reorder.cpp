// SPDX-License-Identifier: Apache-2.0
#include "autograd/ops/reorder.h"

#include <doctest/doctest.h>

#include "tests/op_case.h"

namespace fovea::test {
namespace {

/// y[i] = x[j] with dimension d of y dimension order[d] of x, walked backwards if it is `flipped`.
Doubles reordered(const Doubles& x, const Shape& shape, const std::vector<int>& order, int flipped = -1) {
  const Strides strides = contiguous_strides(shape);
  Doubles y(x.size());
  for (std::size_t i = 0; i < y.size(); ++i) {
    auto rest = static_cast<std::int64_t>(i);
    std::int64_t from = 0;
    for (int d = shape.rank() - 1; d >= 0; --d) {
      const int source = order[static_cast<std::size_t>(d)];
      const std::int64_t index = rest % shape[source];
      rest /= shape[source];
      from += (source == flipped ? shape[source] - 1 - index : index) * strides[source];
    }
    y[i] = x[static_cast<std::size_t>(from)];
  }
  return y;
}

std::vector<int> order_of(const Sample& sample) {
  std::vector<int> order;
  for (const std::int64_t d : sample.params) order.push_back(static_cast<int>(d));
  return order;
}

Var zeros(const Shape& shape, const Device& device) { return Tensor::zeros(shape, DType::f32, device); }

/// params: the order.
TEST_CASE("permute") {
  check({
      .info = permute_info,
      .samples = {{{{3, 5, 2}}, {2, 0, 1}},
                  {{{}}, {}},
                  {{{4}}, {0}},
                  {{{2, 0, 3}}, {1, 2, 0}},
                  {{{2, 3, 5, 7}}, {0, 2, 3, 1}, DType::f64},
                  {{{2, 1, 3, 2, 1, 2}}, {5, 3, 1, 4, 2, 0}},
                  {{{33, 17}}, {1, 0}}},
      .apply = [](std::span<const Var> in, const Sample& sample) { return permute(in[0], order_of(sample)); },
      .reference = [](std::span<const Doubles> in,
                      const Sample& sample) { return reordered(in[0], sample.shapes[0], order_of(sample)); },
      .rejects = {{"a dimension twice",
                   [](const Device& d) {
                     permute(zeros({2, 3}, d), {1, -1});
                   },
                   "permute: dimension -1 of x [2, 3] is named twice"},
                  {"too few dimensions",
                   [](const Device& d) {
                     permute(zeros({2, 3, 4}, d), {1, 2});
                   },
                   "permute: the order has 2 dimensions, x [2, 3, 4] has 3"}},
  });
  Tape tape;
  const Var x = tape.leaf(Tensor::zeros({2, 3, 4}, DType::f32, devices()[0]));
  const Var y = permute(x, {-1, 0, 1});
  CHECK(y.shape() == Shape{4, 2, 3});
  CHECK(y.value().shares_memory_with(x.value()));
}

/// params: two dimensions.
TEST_CASE("transpose") {
  check({
      .info = transpose_info,
      .samples = {{{{3, 5}}, {0, 1}},
                  {{{4}}, {0, 0}},
                  {{{2, 0, 3}}, {-1, 0}},
                  {{{2, 3, 5, 7}}, {1, -1}, DType::f64},
                  {{{33, 2, 17}}, {2, 0}}},
      .apply =
          [](std::span<const Var> in, const Sample& s) {
            return transpose(in[0], static_cast<int>(s.params[0]), static_cast<int>(s.params[1]));
          },
      .reference =
          [](std::span<const Doubles> in, const Sample& s) {
            const Shape& shape = s.shapes[0];
            std::vector<int> order;
            for (int d = 0; d < shape.rank(); ++d) order.push_back(d);
            const auto place = [&](std::int64_t dim) {
              return static_cast<std::size_t>(normalize_dim("test", static_cast<int>(dim), shape));
            };
            std::swap(order[place(s.params[0])], order[place(s.params[1])]);
            return reordered(in[0], shape, order);
          },
      .rejects = {{"a dimension that is not there",
                   [](const Device& d) {
                     transpose(zeros({2, 3}, d), 0, 2);
                   },
                   "transpose: dimension 2 is outside of x [2, 3] of rank 2"}},
  });
}

/// params: the dimension.
TEST_CASE("flip") {
  check({
      .info = flip_info,
      .samples = {{{{3, 5}}, {1}},
                  {{{3, 5}}, {0}},
                  {{{1}}, {0}},
                  {{{4}}, {-1}},
                  {{{2, 0, 3}}, {2}},
                  {{{2, 0, 3}}, {1}},
                  {{{2, 3, 5, 7}}, {-2}, DType::f64},
                  {{{2, 5, 8}}, {1}},
                  {{{3, 65}}, {1}},
                  {{{2, 33, 4}}, {0}},
                  {{{16, 33, 65}}, {2}, DType::f32, true}},
      .apply = [](std::span<const Var> in,
                  const Sample& sample) { return flip(in[0], static_cast<int>(sample.params[0])); },
      .reference =
          [](std::span<const Doubles> in, const Sample& sample) {
            const Shape& shape = sample.shapes[0];
            std::vector<int> order;
            for (int d = 0; d < shape.rank(); ++d) order.push_back(d);
            return reordered(in[0], shape, order,
                             normalize_dim("test", static_cast<int>(sample.params[0]), shape));
          },
      .rejects = {{"a scalar", [](const Device& d) { flip(zeros({}, d), 0); },
                   "flip: dimension 0 is outside of x [] of rank 0"}},
  });
  for (const Device& device : devices()) {
    const Tensor bytes = Tensor::from(std::vector<std::uint8_t>{1, 2, 3, 4, 5, 6}, {2, 3}, device);
    CHECK(flip(bytes, 1).value().to_vector<std::uint8_t>() == std::vector<std::uint8_t>{3, 2, 1, 6, 5, 4});
    CHECK(flip(transpose(bytes, 0, 1), 1).value().to_vector<std::uint8_t>() ==
          std::vector<std::uint8_t>{4, 1, 5, 2, 6, 3});
  }
}

}  // namespace
}  // namespace fovea::test
