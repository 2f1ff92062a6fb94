// SPDX-License-Identifier: Apache-2.0
#include "autograd/ops/resize.h"

#include <doctest/doctest.h>

#include <algorithm>
#include <cmath>

#include "tests/op_case.h"

namespace fovea::test {
namespace {

Var zeros(const Shape& shape, const Device& device, DType dtype = DType::f32) {
  return Tensor::zeros(shape, dtype, device);
}

enum class Rule { nearest, half_pixel, align_corners };

/// Where result p of `out` lies along an axis of `in`.
double coordinate(Rule rule, std::int64_t p, std::int64_t in, std::int64_t out) {
  const double size = static_cast<double>(in), results = static_cast<double>(out),
               at = static_cast<double>(p);
  if (rule == Rule::nearest) return std::floor(at * size / results);
  if (rule == Rule::align_corners) return out == 1 ? 0 : at * (size - 1) / (results - 1);
  return std::max(0.0, (at + 0.5) * size / results - 0.5);
}

Doubles resized(const Doubles& x, const Sample& sample, Rule rule, bool magnitude) {
  const Shape& in = sample.shapes[0];
  const std::int64_t rows = sample.params[0], columns = sample.params[1];
  Doubles y;
  for (std::int64_t n = 0; n < in[0] * in[1]; ++n)
    for (std::int64_t p = 0; p < rows; ++p)
      for (std::int64_t q = 0; q < columns; ++q) {
        const double down = coordinate(rule, p, in[2], rows), right = coordinate(rule, q, in[3], columns);
        const auto i = static_cast<std::int64_t>(down), j = static_cast<std::int64_t>(right);
        const auto pixel = [&](std::int64_t row, std::int64_t column) {
          const std::int64_t a = std::min(row, in[2] - 1), b = std::min(column, in[3] - 1);
          const double value = x[static_cast<std::size_t>((n * in[2] + a) * in[3] + b)];
          return magnitude ? std::abs(value) : value;
        };
        const double f = down - static_cast<double>(i), g = right - static_cast<double>(j);
        y.push_back((1 - f) * ((1 - g) * pixel(i, j) + g * pixel(i, j + 1)) +
                    f * ((1 - g) * pixel(i + 1, j) + g * pixel(i + 1, j + 1)));
      }
  return y;
}

/// Params are P, Q and, for bilinear, align_corners. Larger and smaller, by whole and broken factors, from and to
/// one pixel, widths around packs and vectors.
OpCase resize_case(const OpInfo& info, bool nearest) {
  const auto rule = [=](const Sample& s) {
    return nearest ? Rule::nearest : s.params[2] != 0 ? Rule::align_corners : Rule::half_pixel;
  };
  OpCase op{.info = info,
            .samples = {},
            .apply =
                [=](std::span<const Var> in, const Sample& s) {
                  const Size2d out{s.params[0], s.params[1]};
                  return nearest ? resize_nearest(in[0], out) : resize_bilinear(in[0], out, s.params[2] != 0);
                },
            .reference = [=](std::span<const Doubles> in,
                             const Sample& s) { return resized(in[0], s, rule(s), false); },
            .magnitude = [=](std::span<const Doubles> in,
                             const Sample& s) { return resized(in[0], s, rule(s), true); },
            .terms = [=](const Sample&) { return nearest ? 1.0 : 4.0; }};
  for (const std::int64_t corners : {0, 1}) {
    if (nearest && corners == 1) break;
    for (const auto& [shape, out] : std::vector<std::pair<Shape, Size2d>>{{{2, 2, 4, 4}, {7, 7}},
                                                                          {{1, 1, 1, 1}, {1, 1}},
                                                                          {{0, 2, 3, 3}, {2, 2}},
                                                                          {{1, 2, 1, 3}, {4, 1}},
                                                                          {{1, 1, 5, 1}, {2, 6}},
                                                                          {{1, 2, 4, 4}, {4, 4}},
                                                                          {{1, 2, 3, 5}, {6, 10}},
                                                                          {{1, 2, 8, 9}, {3, 2}},
                                                                          {{1, 2, 14, 15}, {2, 1}},
                                                                          {{2, 1, 5, 6}, {3, 36}},
                                                                          {{1, 1, 6, 33}, {8, 65}},
                                                                          {{1, 1, 6, 33}, {4, 17}},
                                                                          {{2, 60, 7, 7}, {14, 14}}})
      op.samples.push_back({.shapes = {shape}, .params = {out.height, out.width, corners}});
  }
  const std::string name = info.name;
  const auto call = [=](const Var& x, Size2d out) {
    nearest ? resize_nearest(x, out) : resize_bilinear(x, out);
  };
  op.rejects = {{"rank 3",
                 [=](const Device& d) {
                   call(zeros({2, 4, 9}, d), 2);
                 },
                 name + ": x [2, 4, 9] is not [N, C, H, W] with at least one pixel in each plane"},
                {"f64",
                 [=](const Device& d) {
                   call(zeros({1, 2, 4, 9}, d, DType::f64), 2);
                 },
                 name + ": x [1, 2, 4, 9] is f64, expected f32; convert it with to()"},
                {"no pixels to read",
                 [=](const Device& d) {
                   call(zeros({1, 2, 4, 0}, d), 2);
                 },
                 name + ": x [1, 2, 4, 0] is not [N, C, H, W] with at least one pixel in each plane"},
                {"no rows",
                 [=](const Device& d) {
                   call(zeros({1, 2, 4, 9}, d), {0, 2});
                 },
                 name + ": out 0×2 has a side outside of 1..2147483647"}};
  return op;
}

}  // namespace

TEST_CASE("resize_bilinear") { check(resize_case(resize_bilinear_info, false)); }

TEST_CASE("resize_nearest") { check(resize_case(resize_nearest_info, true)); }

// A ramp shows the coordinates themselves: corners on corners, 4 pixels to 7 are half pixels apart.
TEST_CASE("resize_coordinates") {
  for (const Device& device : devices()) {
    INFO(device.description());
    const auto row = [&](const std::vector<float>& values) {
      const auto width = static_cast<std::int64_t>(values.size());
      return Tensor::from(values, {1, 1, 1, width}, device);
    };
    const auto values = [](const Var& y) { return y.value().to_vector<float>(); };
    const Tensor ramp = row({0, 1, 2, 3});
    CHECK(values(resize_bilinear(ramp, {1, 7}, true)) == std::vector<float>{0, 0.5, 1, 1.5, 2, 2.5, 3});
    CHECK(values(resize_bilinear(ramp, {1, 1}, true)) == std::vector<float>{0});
    CHECK(values(resize_bilinear(ramp, {1, 8})) ==
          std::vector<float>{0, 0.25, 0.75, 1.25, 1.75, 2.25, 2.75, 3});
    CHECK(values(resize_bilinear(ramp, {1, 2})) == std::vector<float>{0.5, 2.5});
    CHECK(values(resize_nearest(ramp, {1, 7})) == std::vector<float>{0, 0, 1, 1, 2, 2, 3});
    CHECK(values(resize_nearest(ramp, {1, 3})) == std::vector<float>{0, 1, 2});
    // In float, 11·(26/22) is 12.999999, and would take pixel 12.
    std::vector<float> many(26);
    for (std::size_t i = 0; i < many.size(); ++i) many[i] = static_cast<float>(i);
    const std::vector<float> fewer = values(resize_nearest(row(many), {1, 22}));
    for (std::size_t q = 0; q < fewer.size(); ++q) CHECK(fewer[q] == static_cast<float>(q * 26 / 22));
    // Both axes: the middle of four pixels.
    const Tensor square = Tensor::from(std::vector<float>{1, 2, 3, 6}, {1, 1, 2, 2}, device);
    CHECK(values(resize_bilinear(square, 3, true)) == std::vector<float>{1, 1.5, 2, 2, 3, 4, 3, 4.5, 6});
  }
}

}  // namespace fovea::test
