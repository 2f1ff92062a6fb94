// SPDX-License-Identifier: Apache-2.0
#include "autograd/ops/reshape.h"

#include <doctest/doctest.h>

#include "tests/op_case.h"

namespace fovea::test {
namespace {

OpCase same_elements(OpInfo info) {
  OpCase row;
  row.info = info;
  row.reference = [](std::span<const Doubles> in, const Sample&) { return in[0]; };
  return row;
}

TEST_CASE("reshape") {
  OpCase row = same_elements(reshape_info);
  row.samples = {
      {{{3, 4}}, {2, 6}}, {{{3, 4}}, {-1}}, {{{}}, {1, 1}}, {{{0, 3}}, {3, 0}}, {{{17, 2}}, {2, -1}}};
  row.apply = [](std::span<const Var> in, const Sample& sample) {
    return reshape(in[0], Shape(std::span(sample.params)));
  };
  row.rejects = {{"another number of elements",
                  [](const Device& d) {
                    reshape(Var(Tensor::zeros({2, 3}, DType::f32, d)), {4});
                  },
                  "reshape: x [2, 3] has 6 elements, which do not fill [4]"}};
  check(row);
}

TEST_CASE("flatten") {
  OpCase row = same_elements(flatten_info);
  row.samples = {
      {{{3, 4, 2}}, {1}}, {{{3, 4, 2}}, {0}}, {{{5}}, {1}}, {{{0, 3, 2}}, {1}}, {{{2, 17, 3, 3}}, {2}}};
  row.apply = [](std::span<const Var> in, const Sample& sample) {
    return flatten(in[0], static_cast<int>(sample.params[0]));
  };
  row.rejects = {{"a dimension that is not there",
                  [](const Device& d) {
                    flatten(Tensor::zeros({2, 3}, DType::f32, d), 3);
                  },
                  "flatten: from_dim 3 is outside of 0..2, the rank of x [2, 3]"}};
  check(row);
  const Device device = devices()[0];
  CHECK(flatten(Tensor::zeros({2, 3, 4}, DType::f32, device)).shape() == Shape{2, 12});
  CHECK(flatten(Tensor::zeros({5}, DType::f32, device)).shape() == Shape{5, 1});
}

}  // namespace
}  // namespace fovea::test
