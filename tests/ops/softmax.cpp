// SPDX-License-Identifier: Apache-2.0
#include "autograd/ops/softmax.h"

#include <doctest/doctest.h>

#include <cmath>
#include <limits>

#include "tests/op_case.h"

namespace fovea::test {
namespace {

/// params: the dimension; none: the last.
int dim_of(const Sample& sample) { return sample.params.empty() ? -1 : static_cast<int>(sample.params[0]); }

std::int64_t width_of(const Sample& sample) {
  return sample.shapes[0][normalize_dim("test", dim_of(sample), sample.shapes[0])];
}

/// value(x − m, Σ exp(x − m)) of each element's row.
template <class Value>
Doubles by_row(const Doubles& x, const Sample& sample, const Value& value) {
  const Shape& shape = sample.shapes[0];
  const auto width = static_cast<std::size_t>(width_of(sample));
  std::size_t inner = 1;
  for (int d = normalize_dim("test", dim_of(sample), shape) + 1; d < shape.rank(); ++d)
    inner *= static_cast<std::size_t>(shape[d]);
  Doubles y(x.size());
  for (std::size_t i = 0; i < x.size(); ++i) {
    const std::size_t first = i / (width * inner) * width * inner + i % inner;
    if (i != first) continue;
    double most = x[first], sum = 0;
    for (std::size_t r = 0; r < width; ++r) most = std::max(most, x[first + r * inner]);
    for (std::size_t r = 0; r < width; ++r) sum += std::exp(x[first + r * inner] - most);
    for (std::size_t r = 0; r < width; ++r) y[first + r * inner] = value(x[first + r * inner] - most, sum);
  }
  return y;
}

OpCase softmax_case(OpInfo info, Var (*op)(const Var&, int), double (*value)(double, double),
                    double (*magnitude)(double, double)) {
  const std::string name(info.name);
  // Around vectors of 16, warps, packs of 4, pieces and warp rows of 1024, column groups of 32 and 256.
  return {.info = info,
          .samples = {{{{4, 7}}},
                      {{{1}}},
                      {{{5, 1}}},
                      {{{0, 3}}},
                      {{{3, 0}}},
                      {{{2, 3, 4}}, {0}},
                      {{{2, 3, 4}}, {1}},
                      {{{2, 3, 4}}, {-1}},
                      {{{2, 17, 33}}, {1}},
                      {{{3, 9, 2, 2}}, {1}},
                      {{{9, 31}}},
                      {{{9, 33}}},
                      {{{3, 128}}},
                      {{{3, 129}}},
                      {{{2, 1024}}},
                      {{{2, 1025}}},
                      {{{2, 1028}}},
                      {{{1, 2100}}},
                      {{{100, 40}}, {0}},
                      {{{7, 257}}, {0}},
                      {{{1031, 3}}, {0}, DType::f32, true},
                      {{{64, 1000}}, {}, DType::f32, true},
                      {{{3, 20011}}, {}, DType::f32, true},
                      {{{4, 19, 28, 28}}, {1}, DType::f32, true}},
          .apply = [=](std::span<const Var> in, const Sample& sample) { return op(in[0], dim_of(sample)); },
          .reference = [=](std::span<const Doubles> in,
                           const Sample& sample) { return by_row(in[0], sample, value); },
          .magnitude = [=](std::span<const Doubles> in,
                           const Sample& sample) { return by_row(in[0], sample, magnitude); },
          .terms = [](const Sample& sample) { return static_cast<double>(width_of(sample)); },
          .value = [](int, std::int64_t, double normal) { return 3 * normal; },
          .rejects = {{"a dimension that is not there",
                       [=](const Device& d) {
                         op(Tensor::zeros({2, 3}, DType::f32, d), 2);
                       },
                       name + ": dimension 2 is outside of x [2, 3] of rank 2"},
                      {"a scalar", [=](const Device& d) { op(Tensor::zeros({}, DType::f32, d), -1); },
                       name + ": dimension -1 is outside of x [] of rank 0"},
                      {"f64",
                       [=](const Device& d) {
                         op(Tensor::zeros({2, 3}, DType::f64, d), -1);
                       },
                       name + ": x [2, 3] is f64, expected f32; convert it with to()"}}};
}

}  // namespace

TEST_CASE("softmax") {
  // The difference x − m is rounded once, which exp turns into a relative error of up to |x − m| roundings.
  check(softmax_case(
      softmax_info, softmax, [](double shifted, double sum) { return std::exp(shifted) / sum; },
      [](double shifted, double sum) { return std::exp(shifted) / sum * (1 + std::abs(shifted)); }));
}

TEST_CASE("log_softmax") {
  check(softmax_case(
      log_softmax_info, log_softmax, [](double shifted, double sum) { return shifted - std::log(sum); },
      [](double shifted, double sum) { return 1 + std::abs(shifted) + std::log(sum); }));
}

TEST_CASE("softmax_of_extremes") {
  const float infinity = std::numeric_limits<float>::infinity(), nan = std::nanf("");
  for (const Device& device : devices()) {
    CAPTURE(device.description());
    // As columns of a matrix as well: other kernels.
    for (const bool columns : {false, true}) {
      CAPTURE(columns);
      const auto of = [&](Var (*op)(const Var&, int), const std::vector<float>& row) {
        const auto n = static_cast<std::int64_t>(row.size());
        std::vector<float> twice = row;
        if (columns)
          for (std::size_t i = 0; i < 2 * row.size(); ++i)
            (i < row.size() ? twice[i] : twice.emplace_back()) = row[i / 2];
        const Tensor x = Tensor::from(twice, columns ? Shape{n, 2} : Shape{1, n}, device);
        auto y = op(x, columns ? 0 : 1).value().to_vector<float>();
        if (columns)
          for (std::size_t i = 0; i < row.size(); ++i) y[i] = y[2 * i];
        y.resize(row.size());
        return y;
      };
      // A common shift changes nothing, however large; differences beyond exp's range are 0 and 1.
      CHECK(of(softmax, {1e30f, 1e30f}) == std::vector<float>{0.5f, 0.5f});
      CHECK(of(softmax, {-2e5f, -2e5f, -3e5f}) == std::vector<float>{0.5f, 0.5f, 0.0f});
      CHECK(of(log_softmax, {0.0f, -1000.0f}) == std::vector<float>{0.0f, -1000.0f});
      // What is masked out with −∞ has no share, wherever it stands.
      CHECK(of(softmax, {-infinity, 3.0f, 3.0f}) == std::vector<float>{0.0f, 0.5f, 0.5f});
      CHECK(of(log_softmax, {-infinity, 7.0f}) == std::vector<float>{-infinity, 0.0f});
      for (const std::vector<float>& row :
           {std::vector<float>{nan, 1.0f, 2.0f}, {1.0f, 2.0f, nan}, {infinity, 0.0f}, {-infinity, -infinity}})
        for (const float v : of(softmax, row)) CHECK(std::isnan(v));
      CHECK(std::isnan(of(log_softmax, {1.0f, nan})[0]));
    }
  }
}

TEST_CASE("softmax_sums_to_one") {
  for (const Device& device : devices()) {
    const Tensor x = Tensor::normal({5, 1777}, {3, 1, 0, nullptr}, 0.0f, 4.0f, device);
    const auto y = softmax(x).value().to_vector<double>();
    for (std::size_t row = 0; row < 5; ++row) {
      double sum = 0;
      for (std::size_t i = 0; i < 1777; ++i) sum += y[row * 1777 + i];
      CHECK(std::abs(sum - 1) < 4 * 0x1p-24 * std::sqrt(1777.0));
    }
  }
}

}  // namespace fovea::test
