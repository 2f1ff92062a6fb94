// SPDX-License-Identifier: Apache-2.0
#include <doctest/doctest.h>

#include "autograd/ops/recurrent.h"
#include "tests/ops/recurrent_reference.h"

namespace fovea::test {
namespace {

std::vector<Var> results(std::span<const Var> in, const Sample& s) {
  const GruResult r =
      gru(in[0], in[1], in[2], has_biases(s) ? in[3] : Var(), has_biases(s) ? in[4] : Var(),
          has_state(s) ? in[has_biases(s) ? 5 : 3] : Var(), lengths_of(s, in[0].device()), s.params[0] != 0);
  return {r.y, r.h_last};
}

OpCase row() {
  OpCase op = recurrent_case(gru_info, 3);
  op.apply_many = results;
  return op;
}

Tensor ones(const Shape& shape, const Device& device) { return Tensor::full(shape, 1.0, DType::f32, device); }

}  // namespace

TEST_CASE("gru") {
  OpCase op = row();
  op.rejects = {{"w_hidden of four gates",
                 [](const Device& d) {
                   gru(ones({3, 2, 5}, d), ones({8, 5}, d), ones({8, 2}, d), Var(), Var());
                 },
                 "gru: w_hidden [8, 2] is not [3·H, H] with H of at least 1 (x [3, 2, 5])"},
                {"bias_input of other units",
                 [](const Device& d) {
                   gru(ones({3, 2, 5}, d), ones({6, 5}, d), ones({6, 2}, d), ones({8}, d), Var());
                 },
                 "gru: bias_input [8] does not fit x [3, 2, 5] and w_hidden [6, 2], expected [6]"},
                {"h0 of other units",
                 [](const Device& d) {
                   gru(ones({3, 2, 5}, d), ones({6, 5}, d), ones({6, 2}, d), Var(), Var(), ones({2, 6}, d));
                 },
                 "gru: h0 [2, 6] does not fit x [3, 2, 5] and w_hidden [6, 2], expected [2, 2]"}};
  check(op);
}

TEST_CASE("gru_one_gradient_at_a_time") { check_one_gradient_at_a_time(row(), 3, false); }

}  // namespace fovea::test
