// SPDX-License-Identifier: Apache-2.0
#include "autograd/ops/where.h"

#include <doctest/doctest.h>

#include <cmath>
#include <limits>

#include "tests/op_case.h"
#include "tests/ops/broadcast.h"

namespace fovea::test {
namespace {

/// params: shape of the mask. Its elements are 0, 1 and 255.
Shape mask_shape(const Sample& s) { return Shape(std::span(s.params)); }
std::uint8_t mask_at(std::size_t i) { return (7 * i + 3) % 5 < 2 ? 0 : i % 3 == 0 ? 255 : 1; }
Tensor mask_of(const Shape& shape, const Device& device) {
  std::vector<std::uint8_t> values(static_cast<std::size_t>(shape.numel()));
  for (std::size_t i = 0; i < values.size(); ++i) values[i] = mask_at(i);
  return constant(values, shape, device);
}

Tensor zeros(const Shape& shape, DType dtype, const Device& device) {
  return Tensor::zeros(shape, dtype, device);
}

TEST_CASE("where") {
  check({
      .info = where_info,
      .samples = {{{{3, 5}, {3, 5}}, {3, 5}},
                  {{{}, {}}, {}},
                  {{{1}, {1}}, {1}},
                  {{{0}, {0}}, {0}},
                  {{{2, 0, 3}, {3}}, {1, 1, 3}},
                  {{{17}, {17}}, {17}, DType::f64},
                  {{{16}, {16}}, {16}, DType::f64},
                  {{{7}, {}}, {7}},
                  {{{}, {8}}, {8}},
                  {{{}, {}}, {9}},
                  {{{4}, {1}}, {1}},
                  {{{2, 3, 4}, {3, 1}}, {2, 1, 1}},
                  {{{3, 1}, {1, 4}}, {2, 1, 1}},
                  {{{63}, {63}}, {63}},
                  {{{64}, {64}}, {64}},
                  {{{65}, {65}}, {65}},
                  {{{3, 257}, {257}}, {3, 1}},
                  {{{16385}, {16385}}, {16385}, DType::f32, true},
                  {{{4, 8, 33, 31}, {8, 1, 1}}, {4, 1, 33, 31}, DType::f32, true}},
      .apply = [](std::span<const Var> in,
                  const Sample& s) { return where(mask_of(mask_shape(s), in[0].device()), in[0], in[1]); },
      .reference =
          [](std::span<const Doubles> in, const Sample& s) {
            const Shape shape =
                broadcast("reference", broadcast("reference", s.shapes[0], s.shapes[1]), mask_shape(s));
            Doubles y(static_cast<std::size_t>(shape.numel()));
            for (std::size_t i = 0; i < y.size(); ++i) {
              const auto at = static_cast<std::int64_t>(i);
              y[i] = mask_at(broadcast_source(mask_shape(s), shape, at)) != 0
                         ? in[0][broadcast_source(s.shapes[0], shape, at)]
                         : in[1][broadcast_source(s.shapes[1], shape, at)];
            }
            return y;
          },
      .rejects = {{"a mask of floats",
                   [](const Device& d) {
                     where(zeros({2}, DType::f32, d), zeros({2}, DType::f32, d), zeros({2}, DType::f32, d));
                   },
                   "where: mask [2] is f32, expected u8; convert it with to()"},
                  {"integers",
                   [](const Device& d) {
                     where(zeros({2}, DType::u8, d), zeros({2}, DType::i64, d), zeros({2}, DType::f32, d));
                   },
                   "where: a [2] is i64, expected f32 or f64; convert it with to()"},
                  {"two types",
                   [](const Device& d) {
                     where(zeros({2}, DType::u8, d), zeros({2}, DType::f64, d), zeros({2}, DType::f32, d));
                   },
                   "where: a [2] is f64, b [2] is f32; convert one of them with to()"},
                  {"a mask that does not broadcast",
                   [](const Device& d) {
                     where(zeros({3}, DType::u8, d), zeros({2}, DType::f32, d), zeros({2}, DType::f32, d));
                   },
                   "where: cannot broadcast [3] with [2]: extents 3 and 2 differ and neither is 1"},
                  {"a mask elsewhere",
                   [](const Device&) {
                     where(zeros({2}, DType::u8, Device::simt()), zeros({2}, DType::f32, Device::cpu()),
                           zeros({2}, DType::f32, Device::cpu()));
                   },
                   "where: [2] is on simt and [2] on cpu; move one with to()"}},
  });
}

TEST_CASE("where_hides_what_is_not_chosen") {
  for (const Device& device : devices()) {
    Tape tape;
    const Var a = tape.leaf(Tensor::full({5}, std::numeric_limits<double>::quiet_NaN(), DType::f32, device));
    const Var b = tape.leaf(Tensor::full({5}, 2, DType::f32, device));
    const Var y = where(Tensor::zeros({5}, DType::u8, device), a, b);
    CHECK(y.value().to_vector<float>() == std::vector<float>(5, 2.0f));
    tape.backward(sum(y));
    CHECK(tape.grad(a).to_vector<float>() == std::vector<float>(5, 0.0f));
    CHECK(tape.grad(b).to_vector<float>() == std::vector<float>(5, 1.0f));
  }
}

}  // namespace
}  // namespace fovea::test
