// SPDX-License-Identifier: Apache-2.0
#include "autograd/ops/reduce.h"

#include <doctest/doctest.h>

#include <cmath>

#include "tests/op_case.h"

namespace fovea::test {
namespace {

/// params: whether the dimensions stay, then the dimensions; no params at all: sum of everything.
unsigned mask(const Sample& sample) {
  const Shape& shape = sample.shapes[0];
  if (sample.params.empty()) return (1u << shape.rank()) - 1u;
  unsigned bits = 0;
  for (std::size_t i = 1; i < sample.params.size(); ++i)
    bits |= 1u << normalize_dim("test", static_cast<int>(sample.params[i]), shape);
  return bits;
}

std::int64_t terms_of(const Sample& sample) {
  std::int64_t n = 1;
  for (int d = 0; d < sample.shapes[0].rank(); ++d)
    if ((mask(sample) >> d & 1u) != 0) n *= sample.shapes[0][d];
  return n;
}

Doubles sums(const Doubles& x, const Sample& sample, bool absolute, bool mean) {
  const Shape& shape = sample.shapes[0];
  Shape kept = shape;
  for (int d = 0; d < shape.rank(); ++d)
    if ((mask(sample) >> d & 1u) != 0) kept[d] = 1;
  Doubles y(static_cast<std::size_t>(kept.numel()), 0.0);
  for (std::size_t i = 0; i < x.size(); ++i) {
    std::int64_t rest = static_cast<std::int64_t>(i), to = 0, step = 1;
    for (int d = shape.rank() - 1; d >= 0; --d) {
      if (kept[d] != 1) to += rest % shape[d] * step;
      step *= kept[d];
      rest /= shape[d];
    }
    y[static_cast<std::size_t>(to)] += absolute ? std::abs(x[i]) : x[i];
  }
  if (mean)
    for (double& v : y) v /= static_cast<double>(terms_of(sample));
  return y;
}

using All = Var (*)(const Var&);
using Some = Var (*)(const Var&, std::initializer_list<int>, bool);

Var call(const Var& x, const Sample& sample, All all, Some some) {
  const auto& p = sample.params;
  const auto dim = [&](std::size_t i) { return static_cast<int>(p[i]); };
  switch (p.size()) {
    case 0:
      return all(x);
    case 1:
      return some(x, {}, p[0] != 0);
    case 2:
      return some(x, {dim(1)}, p[0] != 0);
    case 3:
      return some(x, {dim(1), dim(2)}, p[0] != 0);
    default:
      return some(x, {dim(1), dim(2), dim(3)}, p[0] != 0);
  }
}

OpCase reduce_case(OpInfo info, All all, Some some, bool mean) {
  const std::string op(info.name);
  OpCase row{
      .info = info,
      .samples = {{{{3, 5}}},
                  {{{}}},
                  {{{1}}},
                  {{{1, 1}}, {0, 1}},
                  {{{2, 3, 4}}, {0, 2}},
                  {{{2, 3, 4}}, {1, 1}},
                  {{{2, 3, 4}}, {0, 0}},
                  {{{2, 3, 4}}, {0, 0, 2}},
                  {{{2, 3, 4}}, {1, -1, -2}},
                  {{{2, 3, 2, 2}}, {0, 0, 2, 3}},
                  {{{2, 3}}, {0}},
                  {{{0, 3}}, {0, 1}},
                  {{{3, 1, 2}}, {0, 1}, DType::f64},
                  {{{255}}},
                  {{{256}}},
                  {{{257}}},
                  {{{3, 1027}}, {0, 1}},
                  {{{5, 31}}, {0, 0}},
                  {{{33, 33}}, {0, 0}, DType::f64},
                  {{{130, 32}}, {0, 0}},
                  {{{16384}}, {}, DType::f32, true},
                  {{{16385}}, {}, DType::f32, true},
                  {{{70001}}, {}, DType::f32, true},
                  {{{70001}}, {}, DType::f64, true},
                  {{{2, 40000}}, {0, 1}, DType::f32, true},
                  {{{33, 511}}, {0, 0}, DType::f32, true},
                  {{{32, 512}}, {0, 0}, DType::f32, true},
                  {{{65, 513}}, {1, 0}, DType::f32, true},
                  {{{3000, 3}}, {0, 0}, DType::f32, true},
                  {{{2, 1100, 7}}, {0, 1}, DType::f32, true}},
      .apply = [=](std::span<const Var> in, const Sample& sample) { return call(in[0], sample, all, some); },
      .reference = [=](std::span<const Doubles> in,
                       const Sample& sample) { return sums(in[0], sample, false, mean); },
      .magnitude = [=](std::span<const Doubles> in,
                       const Sample& sample) { return sums(in[0], sample, true, mean); },
      .terms = [](const Sample& sample) { return static_cast<double>(terms_of(sample)); },
      .rejects = {{"a dimension that is not there",
                   [=](const Device& d) {
                     some(Tensor::zeros({2, 3}, DType::f32, d), {2}, false);
                   },
                   op + ": dimension 2 is outside of x [2, 3] of rank 2"},
                  {"a dimension twice",
                   [=](const Device& d) {
                     some(Tensor::zeros({2, 3}, DType::f32, d), {1, -1}, false);
                   },
                   op + ": dimension -1 of x [2, 3] is named twice"},
                  {"integers",
                   [=](const Device& d) {
                     all(Tensor::zeros({2, 3}, DType::i64, d));
                   },
                   op + ": x [2, 3] is i64, expected f32 or f64; convert it with to()"}},
  };
  if (mean) {
    row.rejects.push_back({"no elements",
                           [=](const Device& d) {
                             all(Tensor::zeros({0, 3}, DType::f32, d));
                           },
                           "mean: x [0, 3] has no elements along the dimensions to average"});
  } else {
    row.samples.push_back({{{0}}});
    row.samples.push_back({{{2, 0}}, {0, 1}});
  }
  return row;
}

TEST_CASE("sum") { check(reduce_case(sum_info, sum, sum, false)); }
TEST_CASE("mean") { check(reduce_case(mean_info, mean, mean, true)); }

/// Equal terms round the same way each time, so a chain of additions drifts; the tree does not.
TEST_CASE("sum_of_equal_terms") {
  constexpr std::int64_t kCount = 1 << 20;
  for (const Device& device : devices()) {
    if (device.kind() == DeviceKind::simt) continue;  // too many elements for the emulation
    CAPTURE(device.description());
    const double term = static_cast<double>(0.1f), exact = term * kCount;
    const double bound = 4 * 0x1p-24 * std::sqrt(static_cast<double>(kCount)) * exact;
    const Tensor x = Tensor::full({kCount}, term, DType::f32, device);
    CHECK(std::abs(sum(x).value().item() - exact) < bound / 16);
    const Tensor column = sum(reshape(x, {kCount / 4, 4}), {0}).value();
    CHECK(std::abs(column.to_vector<double>()[1] - exact / 4) < bound / 16);
  }
}

}  // namespace
}  // namespace fovea::test
