// SPDX-License-Identifier: Apache-2.0
#include "autograd/ops/gather.h"

#include <doctest/doctest.h>

#include <cmath>

#include "autograd/ops/labels.h"
#include "tests/op_case.h"

namespace fovea::test {
namespace {

using Indices = std::vector<std::int64_t>;
using Floats = std::vector<float>;

int dim_of(const Sample& sample) { return static_cast<int>(sample.params[0]); }
Tensor zeros(const Shape& shape, const Device& device, DType dtype = DType::f32) {
  return Tensor::zeros(shape, dtype, device);
}

/// y of shape `picked`, which differs from `shape` along dim; at(place in y, place along dim) is the index.
template <class F>
Doubles picked(const Doubles& x, const Shape& shape, const Shape& picked_shape, int dim, const F& at) {
  const int d = normalize_dim("test", dim, shape);
  const Strides strides = contiguous_strides(shape);
  Doubles y(static_cast<std::size_t>(picked_shape.numel()));
  for (std::size_t i = 0; i < y.size(); ++i) {
    auto rest = static_cast<std::int64_t>(i);
    std::int64_t from = 0;
    for (int k = shape.rank() - 1; k >= 0; --k) {
      const std::int64_t own = rest % picked_shape[k];
      rest /= picked_shape[k];
      from += strides[k] * (k == d ? at(static_cast<std::int64_t>(i), own) : own);
    }
    y[i] = x[static_cast<std::size_t>(from)];
  }
  return y;
}

/// params: dim, then the index.
TEST_CASE("gather_rows") {
  const auto index = [](const Sample& s) { return Indices(s.params.begin() + 1, s.params.end()); };
  check({
      .info = gather_rows_info,
      .samples = {{{{5, 4}}, {0, 3, 0, 3}},  // packs
                  {{{5, 3}}, {0, 3, 0, 3}},
                  {{{5}}, {0, 4, 4, 4, 1}},
                  {{{1}}, {0, 0}},
                  {{{3, 5}}, {1, 0, 4}},
                  {{{2, 3, 4}}, {1, 2, 2, 0, 1}, DType::f64},
                  {{{2, 3, 5}}, {-2, 1}},
                  {{{3, 2}}, {0}},
                  {{{2, 0, 3}}, {0, 1}},
                  {{{33, 7, 3}}, {0, 32, 5, 5, 0, 31}},
                  {{{2, 3, 1030}}, {1, 2, 2}},
                  {{{64, 33, 40}}, {1, 32, 0, 32, 7}, DType::f32, true},
                  {{{3, 2, 9001}}, {0, 1, 1, 2}, DType::f32, true}},
      .apply =
          [=](std::span<const Var> in, const Sample& s) {
            const Indices rows = index(s);
            return gather_rows(
                in[0], constant(rows, {static_cast<std::int64_t>(rows.size())}, in[0].device()), dim_of(s));
          },
      .reference =
          [=](std::span<const Doubles> in, const Sample& s) {
            const Indices rows = index(s);
            Shape shape = s.shapes[0];
            shape[normalize_dim("test", dim_of(s), shape)] = static_cast<std::int64_t>(rows.size());
            return picked(in[0], s.shapes[0], shape, dim_of(s),
                          [&](std::int64_t, std::int64_t k) { return rows[static_cast<std::size_t>(k)]; });
          },
      .terms = [](const Sample& s) { return static_cast<double>(s.params.size()); },
      .rejects = {{"an index of floats",
                   [](const Device& d) {
                     gather_rows(zeros({2, 3}, d), zeros({2}, d), 1);
                   },
                   "gather_rows: index [2] is f32, expected i64; convert it with to()"},
                  {"integers to pick from",
                   [](const Device& d) {
                     gather_rows(zeros({2, 3}, d, DType::i64), zeros({2}, d, DType::i64), 1);
                   },
                   "gather_rows: x [2, 3] is i64, expected f32 or f64; convert it with to()"},
                  {"an index of another rank",
                   [](const Device& d) {
                     gather_rows(zeros({2, 3}, d), zeros({2, 1}, d, DType::i64), 1);
                   },
                   "gather_rows: index [2, 1] has rank 2, expected [K] for dimension 1 of x [2, 3]"},
                  {"two devices",
                   [](const Device&) {
                     gather_rows(zeros({2, 3}, Device::cpu()), zeros({2}, Device::simt(), DType::i64), 1);
                   },
                   "gather_rows: [2, 3] is on cpu and [2] on simt; move one with to()"},
                  {"a dimension that is not there",
                   [](const Device& d) {
                     gather_rows(zeros({2, 3}, d), zeros({2}, d, DType::i64), 2);
                   },
                   "gather_rows: dimension 2 is outside of x [2, 3] of rank 2"}},
  });
}

/// params: dim, extent of the index along it; place i of the index is (5i + 2) mod the extent of x.
TEST_CASE("gather") {
  const auto index_shape = [](const Sample& s) {
    Shape shape = s.shapes[0];
    shape[normalize_dim("test", dim_of(s), shape)] = s.params[1];
    return shape;
  };
  const auto at = [](const Sample& s, std::int64_t i) {
    return (5 * i + 2) % s.shapes[0][normalize_dim("test", dim_of(s), s.shapes[0])];
  };
  check({
      .info = gather_info,
      .samples = {{{{4, 5}}, {1, 1}},
                  {{{4, 5}}, {0, 3}},
                  {{{7}}, {0, 9}},
                  {{{1}}, {0, 1}},
                  {{{2, 3, 5}}, {1, 4}, DType::f64},
                  {{{2, 3, 5}}, {-1, 2}},
                  {{{3, 2}}, {1, 0}},
                  {{{2, 0, 3}}, {0, 1}},
                  {{{33, 10}}, {1, 1}},
                  {{{3, 5, 65}}, {1, 2}},
                  {{{40, 20, 31}}, {1, 7}, DType::f32, true},
                  {{{3, 2, 1100}}, {1, 5}, DType::f32, true}},
      .apply =
          [=](std::span<const Var> in, const Sample& s) {
            Indices index;
            for (std::int64_t i = 0; i < index_shape(s).numel(); ++i) index.push_back(at(s, i));
            return gather(in[0], constant(index, index_shape(s), in[0].device()), dim_of(s));
          },
      .reference =
          [=](std::span<const Doubles> in, const Sample& s) {
            return picked(in[0], s.shapes[0], index_shape(s), dim_of(s),
                          [&](std::int64_t i, std::int64_t) { return at(s, i); });
          },
      .terms = [](const Sample& s) { return static_cast<double>(std::max<std::int64_t>(s.params[1], 1)); },
      .rejects = {{"an index of floats",
                   [](const Device& d) {
                     gather(zeros({2, 3}, d), zeros({2, 1}, d), 1);
                   },
                   "gather: index [2, 1] is f32, expected i64; convert it with to()"},
                  {"an index of another shape",
                   [](const Device& d) {
                     gather(zeros({2, 3}, d), zeros({3, 1}, d, DType::i64), 1);
                   },
                   "gather: index [3, 1] and x [2, 3] differ in more than dimension 1"},
                  {"an index of another rank",
                   [](const Device& d) {
                     gather(zeros({2, 3}, d), zeros({2}, d, DType::i64), 1);
                   },
                   "gather: index [2] and x [2, 3] differ in more than dimension 1"}},
  });
}

/// On every device alike: no GPU can stop a step for it.
TEST_CASE("gather_out_of_range") {
  for (const Device& device : devices()) {
    CAPTURE(device.description());
    for (const std::int64_t width : {1, 3, 4}) {
      for (const bool each : {false, true}) {
        Tape tape;
        const Var x = tape.leaf(Tensor::full({2, width}, 5, DType::f32, device));
        const Indices rows{-1, 1, 2, 1};
        Indices all;
        for (const std::int64_t row : rows) all.insert(all.end(), static_cast<std::size_t>(width), row);
        const Var y = each ? gather(x, Tensor::from(all, {4, width}, device), 0)
                           : gather_rows(x, Tensor::from(rows, {4}, device), 0);
        const Floats values = y.value().to_vector<float>();
        for (std::size_t i = 0; i < values.size(); ++i) {
          const std::int64_t row = all[i];
          if (row == 1)
            CHECK(values[i] == 5.0f);
          else
            CHECK(std::isnan(values[i]));
        }
        const Tape::Root root{y, Tensor::full({4, width}, 1, DType::f32, device)};
        tape.backward(std::span(&root, 1));
        Floats slopes(static_cast<std::size_t>(width), 0.0f);
        slopes.insert(slopes.end(), static_cast<std::size_t>(width), 2.0f);
        CHECK(tape.grad(x).to_vector<float>() == slopes);
      }
    }
  }
}

TEST_CASE("gather_at_argmax") {
  for (const Device& device : devices()) {
    const Tensor x = Tensor::from(Floats{3, 9, 1, 4, 2, 8}, {2, 3}, device);
    CHECK(gather(x, argmax(x, 1, true).value(), 1).value().to_vector<float>() == Floats{9, 8});
  }
}

}  // namespace
}  // namespace fovea::test
