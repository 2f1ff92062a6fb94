// SPDX-License-Identifier: Apache-2.0
#include "autograd/ops/join.h"

#include <doctest/doctest.h>

#include "autograd/ops/reduce.h"
#include "tests/op_case.h"

namespace fovea::test {
namespace {

/// Extents before and after a dimension, each taken together.
struct Sides {
  std::size_t outer = 1, inner = 1;
};
Sides around(const Shape& shape, int dim) {
  const int d = normalize_dim("test", dim, shape);
  Sides sides;
  for (int k = 0; k < shape.rank(); ++k)
    (k < d ? sides.outer : sides.inner) *= k == d ? 1 : static_cast<std::size_t>(shape[k]);
  return sides;
}
int dim_of(const Sample& sample) { return static_cast<int>(sample.params[0]); }

/// Indices from, from + step, … below to along dim.
Doubles taken(const Doubles& x, const Shape& shape, int dim, std::int64_t from, std::int64_t to,
              std::int64_t step) {
  const Sides sides = around(shape, dim);
  const auto extent = static_cast<std::size_t>(shape[normalize_dim("test", dim, shape)]);
  Doubles y;
  for (std::size_t o = 0; o < sides.outer; ++o)
    for (std::int64_t r = from; r < to; r += step)
      for (std::size_t i = 0; i < sides.inner; ++i)
        y.push_back(x[(o * extent + static_cast<std::size_t>(r)) * sides.inner + i]);
  return y;
}

Tensor zeros(const Shape& shape, const Device& device, DType dtype = DType::f32) {
  return Tensor::zeros(shape, dtype, device);
}
Tensor ramp(const Shape& shape, const Device& device) {
  std::vector<float> values;
  for (std::int64_t i = 0; i < shape.numel(); ++i) values.push_back(static_cast<float>(i));
  return Tensor::from(values, shape, device);
}
using Floats = std::vector<float>;

TEST_CASE("concat") {
  check({
      .info = concat_info,
      .samples = {{{{2, 3}, {2, 4}}, {1}},
                  {{{3, 5}}, {0}},
                  {{{1}}, {0}},
                  {{{0, 2}, {3, 2}}, {0}},
                  {{{2, 0}, {2, 0}}, {1}},
                  {{{2, 3, 5, 7}, {2, 1, 5, 7}, {2, 4, 5, 7}}, {1}},
                  {{{2, 4, 4}, {2, 8, 4}}, {1}},  // rows of whole packs
                  {{{3, 8}, {3, 8}, {3, 4}}, {-1}},
                  {{{3, 2}, {3, 4}}, {-1}, DType::f64},
                  {{{3, 33}, {3, 1}, {3, 31}}, {1}, DType::f64},
                  {{{4, 33, 32, 31}, {4, 8, 32, 31}}, {1}, DType::f32, true}},
      .apply = [](std::span<const Var> in, const Sample& sample) { return concat(in, dim_of(sample)); },
      .reference =
          [](std::span<const Doubles> in, const Sample& sample) {
            const std::size_t outer = around(sample.shapes[0], dim_of(sample)).outer;
            Doubles y;
            for (std::size_t o = 0; o < outer; ++o)
              for (const Doubles& x : in)
                for (std::size_t i = 0; i < x.size() / outer; ++i) y.push_back(x[o * (x.size() / outer) + i]);
            return y;
          },
      .rejects = {{"nothing", [](const Device&) { concat({}, 0); },
                   "concat: got no tensors, expected at least one"},
                  {"a dimension that is not there",
                   [](const Device& d) {
                     concat({zeros({2, 3}, d)}, 2);
                   },
                   "concat: dimension 2 is outside of x [2, 3] of rank 2"},
                  {"other extents",
                   [](const Device& d) {
                     concat({zeros({2, 3}, d), zeros({2, 4}, d), zeros({3, 3}, d)}, 1);
                   },
                   "concat: tensor 0 [2, 3] and tensor 2 [3, 3] differ in more than dimension 1"},
                  {"another rank",
                   [](const Device& d) {
                     concat({zeros({2, 3}, d), zeros({2}, d)}, 1);
                   },
                   "concat: tensor 0 [2, 3] and tensor 1 [2] differ in more than dimension 1"},
                  {"another type",
                   [](const Device& d) {
                     concat({zeros({2}, d), zeros({2}, d, DType::f64)}, 0);
                   },
                   "concat: tensor 0 [2] is f32, tensor 1 [2] is f64; convert one of them with to()"},
                  {"another device",
                   [](const Device&) {
                     concat({zeros({2}, Device::cpu()), zeros({3}, Device::simt())}, 0);
                   },
                   "concat: [2] is on cpu and [3] on simt; move one with to()"}},
  });
}

TEST_CASE("concat_of_many") {
  for (const Device& device : devices()) {
    CAPTURE(device.description());
    Tape tape;
    std::vector<Var> xs;
    for (int k = 0; k < 40; ++k) {
      const Tensor x = Tensor::full({k % 3, 2}, k, DType::f32, device);
      xs.push_back(k % 2 == 0 ? tape.leaf(x) : tape.input(x));
    }
    const Var y = concat(xs, 0);
    REQUIRE(y.shape() == Shape{39, 2});
    const Tape::Root root{y, ramp({39, 2}, device)};
    tape.backward(std::span(&root, 1));
    Floats want, got;
    float at = 0;
    for (int k = 0; k < 40; ++k)
      for (int i = 0; i < 2 * (k % 3); ++i, ++at)
        if (k % 2 == 0) want.push_back(at);
    for (const Var& x : xs)
      if (x.needs_grad())
        for (const float v : tape.grad(x).to_vector<float>()) got.push_back(v);
    CHECK(got == want);
  }
}

TEST_CASE("concat_of_integers") {
  for (const Device& device : devices()) {
    const Tensor x = Tensor::from(std::vector<std::int64_t>{1, 2, 3, 4}, {2, 2}, device);
    CHECK(concat({x, x}, 1).value().to_vector<std::int64_t>() ==
          std::vector<std::int64_t>{1, 2, 1, 2, 3, 4, 3, 4});
  }
}

/// params: dim, which part, sizes.
TEST_CASE("split") {
  const auto sizes = [](const Sample& sample) { return std::span(sample.params).subspan(2); };
  check({
      .info = split_info,
      .samples = {{{{2, 7}}, {1, 1, 2, 4, 1}},
                  {{{2, 7}}, {1, 0, 2, 4, 1}},
                  {{{5, 3}}, {0, 1, 2, 3}},
                  {{{4}}, {0, 0, 4}},
                  {{{3, 4}}, {1, 1, 2, 0, 2}},
                  {{{0}}, {0, 0, 0}},
                  {{{2, 9, 5, 3}}, {-3, 2, 1, 3, 5}, DType::f64},
                  {{{2, 12, 4}}, {1, 1, 4, 8}},
                  {{{4, 33, 32, 31}}, {1, 1, 16, 17}, DType::f32, true}},
      .apply =
          [=](std::span<const Var> in, const Sample& sample) {
            return split(in[0], sizes(sample), dim_of(sample))[static_cast<std::size_t>(sample.params[1])];
          },
      .reference =
          [=](std::span<const Doubles> in, const Sample& sample) {
            std::int64_t from = 0;
            for (std::int64_t k = 0; k < sample.params[1]; ++k)
              from += sizes(sample)[static_cast<std::size_t>(k)];
            const std::int64_t size = sizes(sample)[static_cast<std::size_t>(sample.params[1])];
            return taken(in[0], sample.shapes[0], dim_of(sample), from, from + size, 1);
          },
      .rejects = {{"too little",
                   [](const Device& d) {
                     split(zeros({2, 7}, d), {2, 4}, 1);
                   },
                   "split: the sizes [2, 4] do not add up to the extent 7 of dimension 1 of x [2, 7]"},
                  {"too much",
                   [](const Device& d) {
                     split(zeros({2, 7}, d), {2, 6, 1}, 1);
                   },
                   "split: the sizes [2, 6, 1] do not add up to the extent 7 of dimension 1 of x [2, 7]"},
                  {"a negative size",
                   [](const Device& d) {
                     split(zeros({2, 7}, d), {8, -1}, -1);
                   },
                   "split: the sizes [8, -1] do not add up to the extent 7 of dimension 1 of x [2, 7]"},
                  {"no parts of nothing",
                   [](const Device& d) {
                     split(zeros({0, 7}, d), std::vector<std::int64_t>{}, 0);
                   },
                   "split: the sizes [] do not add up to the extent 0 of dimension 0 of x [0, 7]"},
                  {"unequal parts",
                   [](const Device& d) {
                     split(zeros({2, 7}, d), 3, 1);
                   },
                   "split: 3 equal parts do not fill the extent 7 of dimension 1 of x [2, 7]"},
                  {"no parts",
                   [](const Device& d) {
                     split(zeros({2, 7}, d), 0, 1);
                   },
                   "split: 0 equal parts do not fill the extent 7 of dimension 1 of x [2, 7]"}},
  });
}

TEST_CASE("split_into_equal_parts") {
  for (const Device& device : devices()) {
    Tape tape;
    const Var x = tape.leaf(ramp({2, 6}, device));
    const std::vector<Var> parts = split(x, 3, -1);
    REQUIRE(parts.size() == 3);
    CHECK(parts[1].value().to_vector<float>() == Floats{2, 3, 8, 9});
    CHECK(parts[2].value().shares_memory_with(x.value()));
    CHECK(concat(parts, 1).value().to_vector<float>() == x.value().to_vector<float>());
    // Each part has a slope, the middle one none.
    const Tape::Root roots[] = {{parts[0], ramp({2, 2}, device)},
                                {parts[2], Tensor::full({2, 2}, 7, DType::f32, device)}};
    tape.backward(roots);
    CHECK(tape.grad(x).to_vector<float>() == Floats{0, 1, 0, 0, 7, 7, 2, 3, 0, 0, 7, 7});
  }
}

/// params: dim, from, to, step.
TEST_CASE("slice") {
  check({
      .info = slice_info,
      .samples = {{{{3, 7}}, {1, 1, 6, 2}},
                  {{{5}}, {0, 0, 5, 1}},
                  {{{5}}, {0, 2, 2, 1}},
                  {{{0, 3}}, {1, 1, 3, 1}},
                  {{{2, 9, 5, 3}}, {1, 3, 9, 4}, DType::f64},
                  {{{2, 12, 4}}, {-2, 4, 8, 1}},
                  {{{65, 33}}, {0, 1, 65, 3}},
                  {{{40, 33, 32}}, {1, 1, 33, 1}, DType::f32, true}},
      .apply =
          [](std::span<const Var> in, const Sample& sample) {
            return slice(in[0], dim_of(sample), sample.params[1], sample.params[2], sample.params[3]);
          },
      .reference =
          [](std::span<const Doubles> in, const Sample& sample) {
            return taken(in[0], sample.shapes[0], dim_of(sample), sample.params[1], sample.params[2],
                         sample.params[3]);
          },
      .rejects = {{"a bound outside",
                   [](const Device& d) {
                     slice(Var(zeros({2, 7}, d)), 1, 0, 8);
                   },
                   "slice: 0:8:1 of dimension 1 is outside of x [2, 7]"}},
  });
  const Var x = ramp({2, 3}, devices()[0]);
  CHECK(slice(x, 1, -2, -1).value().to_vector<float>() == Floats{1, 4});
  CHECK(slice(x, 1, 0, 3).value().shares_memory_with(x.value()));
}

/// params: top, bottom, left, right.
TEST_CASE("pad") {
  const auto margin = [](const Sample& s) {
    return Padding2d(s.params[0], s.params[1], s.params[2], s.params[3]);
  };
  constexpr double kValue = 0.75;
  check({
      .info = pad_info,
      .samples = {{{{2, 3, 4}}, {1, 2, 3, 0}},
                  {{{3, 5}}, {0, 0, 0, 0}},
                  {{{1, 1}}, {2, 1, 1, 2}},
                  {{{2, 0, 3}}, {1, 0, 1, 1}},
                  {{{0, 3, 3}}, {1, 1, 1, 1}},
                  {{{2, 2, 8, 8}}, {1, 1, 4, 4}},  // rows of whole packs
                  {{{2, 3, 5, 7}}, {0, 1, 2, 3}, DType::f64},
                  {{{3, 17, 33}}, {3, 3, 3, 3}},
                  {{{8, 8, 28, 28}}, {1, 1, 1, 1}, DType::f32, true}},
      .apply = [=](std::span<const Var> in, const Sample& s) { return pad(in[0], margin(s), kValue); },
      .reference =
          [=](std::span<const Doubles> in, const Sample& s) {
            const Padding2d by = margin(s);
            const Shape& shape = s.shapes[0];
            const std::int64_t height = shape[shape.rank() - 2], width = shape.back();
            std::int64_t planes = 1;
            for (int d = 0; d < shape.rank() - 2; ++d) planes *= shape[d];
            Doubles y;
            for (std::int64_t n = 0; n < planes; ++n)
              for (std::int64_t i = -by.top; i < height + by.bottom; ++i)
                for (std::int64_t j = -by.left; j < width + by.right; ++j)
                  y.push_back(i >= 0 && i < height && j >= 0 && j < width
                                  ? in[0][static_cast<std::size_t>((n * height + i) * width + j)]
                                  : kValue);
            return y;
          },
      .rejects =
          {{"no plane", [](const Device& d) { pad(zeros({7}, d), 1); },
            "pad: x [7] has rank 1, expected [..., H, W]"},
           {"a negative margin",
            [](const Device& d) {
              pad(zeros({7, 5}, d), {1, 0, -1, 2});
            },
            "pad: the margin top 1, bottom 0, left -1, right 2 of x [7, 5] has a negative side; use slice()"},
           {"another negative margin",
            [](const Device& d) {
              pad(zeros({7, 5}, d), {-1, 0, 1, 2});
            },
            "pad: the margin top -1, bottom 0, left 1, right 2 of x [7, 5] has a negative side; use slice()"},
           {"a negative margin below",
            [](const Device& d) {
              pad(zeros({7, 5}, d), {1, -3, 1, 2});
            },
            "pad: the margin top 1, bottom -3, left 1, right 2 of x [7, 5] has a negative side; use slice()"},
           {"a negative margin at the right",
            [](const Device& d) {
              pad(zeros({7, 5}, d), {1, 0, 1, -2});
            },
            "pad: the margin top 1, bottom 0, left 1, right -2 of x [7, 5] has a negative side; use "
            "slice()"}},
  });
  CHECK(pad(Tensor::full({1, 1}, 3, DType::u8, devices()[0]), 1, 9).value().to_vector<std::uint8_t>() ==
        std::vector<std::uint8_t>{9, 9, 9, 9, 3, 9, 9, 9, 9});
}

}  // namespace
}  // namespace fovea::test
