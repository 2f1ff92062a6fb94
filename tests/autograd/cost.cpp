// SPDX-License-Identifier: Apache-2.0
#include "autograd/cost.h"

#include <doctest/doctest.h>

#include <set>

#include "autograd/op_list.h"
#include "autograd/ops/conv2d.h"
#include "autograd/ops/elementwise.h"
#include "autograd/ops/reshape.h"
#include "tests/host.h"
#include "tests/nn/expect.h"
#include "tests/op_case.h"

using namespace fovea;
using namespace fovea::test;

namespace {

Tensor zeros(const Shape& shape, DType dtype = DType::f32) { return Tensor::zeros(shape, dtype, host()); }

/// The record of an op with this info, on operands of these shapes; an undefined one is left out.
Cost recorded(const OpInfo& info, const std::vector<Tensor>& inputs, const Shape& result) {
  Tape tape;
  std::vector<Var> vars;
  for (const Tensor& x : inputs) vars.push_back(x.defined() ? tape.leaf(x) : Var());
  tape.record(info, {zeros(result)}, vars, {}, {}, Where::here());
  return cost_of(tape.records()[0]);
}

}  // namespace

TEST_CASE("a formula is computed from left to right, products first") {
  const Symbols symbols{{"N", 8}, {"KH", 3}, {"n_1", 0.5}};
  CHECK(evaluate("7", symbols) == 7);
  CHECK(evaluate("2·N·KH", symbols) == 48);
  CHECK(evaluate(" 2 * N - KH - 1 ", symbols) == 12);
  CHECK(evaluate("N/2/2 + n_1", symbols) == 2.5);
  CHECK(evaluate("2·(N - (KH + 1))·3", symbols) == 24);
  CHECK(message([&] { evaluate("2·M", symbols); }) ==
        "formula: '2·M' has no meaning at byte 4: expected a number or a symbol of the signature");
  CHECK(message([&] { evaluate("(N + 1", symbols); }) ==
        "formula: '(N + 1' has no meaning at byte 6: expected ')'");
  CHECK(message([&] { evaluate("2 N", symbols); }) ==
        "formula: '2 N' has no meaning at byte 2: expected an operator");
  CHECK(message([&] { evaluate("", symbols); }) ==
        "formula: '' has no meaning at byte 0: expected a number or a symbol of the signature");
}

TEST_CASE("a list of words") {
  CHECK(words("").empty());
  CHECK(words("x") == std::vector<std::string_view>{"x"});
  CHECK(words(" x  gamma ") == std::vector<std::string_view>{"x", "gamma"});
}

TEST_CASE("a convolution costs what its formula says, and only the gradients that are asked for") {
  Tape tape;
  const Var w = tape.leaf(zeros({8, 3, 5, 5})), bias = tape.leaf(zeros({8}));
  conv2d(tape.input(zeros({2, 3, 20, 30})), w, bias);
  conv2d(tape.leaf(zeros({2, 3, 20, 30})), w, Var());
  const double products = 2.0 * 2 * 8 * 16 * 26 * 3 * 5 * 5;
  const Cost first = cost_of(tape.records()[0]), second = cost_of(tape.records()[1]);
  CHECK(first.flops == products);
  CHECK(first.bytes == 4 * (2 * 3 * 20 * 30 + 8 * 3 * 5 * 5 + 8 + 2 * 8 * 16 * 26));
  CHECK(first.gradient_flops == products + 2 * 8 * 16 * 26);
  CHECK(second.bytes == first.bytes - 4 * 8);
  CHECK(second.gradient_flops == 2 * products);
  const Symbols symbols = symbols_of(tape.records()[0]);
  CHECK(symbols.at("dx") == 0);
  CHECK(symbols.at("dw") == 1);
  CHECK(symbols.at("Q") == 26);
  conv2d(tape.leaf(zeros({2, 6, 20, 30})), tape.leaf(zeros({12, 1, 5, 5})), Var(),
         {.stride = {2, 1}, .groups = 6});
  CHECK(cost_of(tape.records()[2]).flops == 2.0 * 2 * 12 * 8 * 26 * 5 * 5);  // each output sees one channel
}

TEST_CASE("broadcast operands, and elements of eight bytes") {
  Tape tape;
  add(tape.leaf(zeros({4, 5}, DType::f64)), tape.leaf(zeros({5}, DType::f64)));
  const Cost cost = cost_of(tape.records()[0]);
  CHECK(cost.flops == 20);
  CHECK(cost.bytes == 8 * (20 + 5 + 20));
  CHECK(cost.gradient_flops == 15);  // twenty slopes become five
  const Tape::Record& entry = tape.records()[0];
  CHECK(entry.dtype == DType::f64);
}

TEST_CASE("a signature that does not fit what was recorded is an error") {
  static constexpr OpInfo kNone{.name = "op"};
  CHECK(recorded(kNone, {zeros({2})}, {2}).flops == 0);
  static constexpr OpInfo kMap{
      .name = "map", .signature = "x[N, C, S...] b[C]? -> y[N, C, S...]", .flops = "N·S·C"};
  CHECK(recorded(kMap, {zeros({2, 3, 4, 5}), zeros({3})}, {2, 3, 4, 5}).flops == 120);
  CHECK(recorded(kMap, {zeros({2, 3}), Tensor()}, {2, 3}).flops == 6);
  // the extents of an operand that is left out are 0, unless another has them
  static constexpr OpInfo kOptional{
      .name = "optional", .signature = "x[N] w[k...]? v[N]? -> y[N]", .flops = "N + k"};
  CHECK(recorded(kOptional, {zeros({5}), zeros({2, 3}), Tensor()}, {5}).flops == 11);
  CHECK(recorded(kOptional, {zeros({5}), Tensor(), Tensor()}, {5}).flops == 5);
  const auto text = [](const OpInfo& info, const std::string& shapes) {
    return fmt::format("{}: its signature '{}' does not fit {}", info.name, info.signature, shapes);
  };
  // extents that differ, too few, too many, operands that are missing or too many
  CHECK(message([&] {
          recorded(kMap, {zeros({2, 3}), zeros({4})}, {2, 3});
        }) == text(kMap, "[2, 3] [4] -> [2, 3]"));
  CHECK(message([&] { recorded(kMap, {zeros({2}), Tensor()}, {2, 3}); }) == text(kMap, "[2] none -> [2, 3]"));
  CHECK(message([&] {
          recorded(kMap, {zeros({2, 3}), zeros({3, 1})}, {2, 3});
        }) == text(kMap, "[2, 3] [3, 1] -> [2, 3]"));
  CHECK(message([&] { recorded(kMap, {Tensor(), zeros({3})}, {2, 3}); }) == text(kMap, "none [3] -> [2, 3]"));
  static constexpr OpInfo kShort{.name = "short", .signature = "x[n...]"},
      kLong{.name = "long", .signature = "x[n] y"}, kTail{.name = "tail", .signature = "x[n] -> y[n] z"},
      kEmpty{.name = "empty", .signature = "x[] -> y[ ,]"};
  for (const OpInfo* info : {&kShort, &kLong, &kTail})
    CHECK(message([&] { recorded(*info, {zeros({2})}, {2}); }) == text(*info, "[2] -> [2]"));
  CHECK(message([&] { recorded(kEmpty, {zeros({})}, {}); }) == text(kEmpty, "[] -> []"));
}

TEST_CASE("an operand that may come many times gives its names the sums of the extents") {
  static constexpr OpInfo kMany{.name = "many",
                                .signature = "b[C] x[N, m...]... -> y[n...]",
                                .flops = "N",
                                .bytes = "m + C",
                                .gradient_flops = "dx·n"};
  const Cost cost = recorded(kMany, {zeros({7}), zeros({2, 3}), zeros({4, 5, 2}), zeros({1, 0})}, {6});
  CHECK(cost.flops == 7);
  CHECK(cost.bytes == 13 + 7);
  CHECK(cost.gradient_flops == 6);
  CHECK(recorded(kMany, {zeros({7}), zeros({2, 3})}, {6}).bytes == 3 + 7);
  CHECK(message([&] {
          recorded(kMany, {zeros({7}), zeros({2, 3}), zeros({})}, {6});
        }) == "many: its signature 'b[C] x[N, m...]... -> y[n...]' does not fit [7] [2, 3] [] -> [6]");

  static constexpr OpInfo kParts{.name = "parts", .signature = "x[n...] -> y[m...]...", .flops = "m"};
  Tape tape;
  const Var x = tape.leaf(zeros({5}));
  tape.record(kParts, {zeros({2}), zeros({3})}, std::span(&x, 1), {}, {}, Where::here());
  CHECK(cost_of(tape.records()[0]).flops == 5);
}

TEST_CASE("every op of the list says what it is, and no two have one name") {
  std::set<std::string> names;
  for (const OpEntry& op : op_list()) {
    CAPTURE(op.info->name);
    CHECK(names.insert(op.info->name).second);
    CHECK(op.page.starts_with("autograd/ops/"));
    CHECK_FALSE(op.info->signature.empty());
    const std::string_view name = op.info->name;
    CHECK(op.info->has_gradient() == (name != "argmax" && name != "one_hot"));
  }
  CHECK(names.contains("conv2d"));
  CHECK(names.contains("flatten"));
}

TEST_CASE("the op table notices a record that keeps more, or less, than it names") {
  static std::vector<Tensor> hidden;  // what a rule could still reach
  static constexpr OpInfo kHonest{.name = "twice", .gradient = "dx = 2·dy", .keeps = "x"},
      kUnnamed{.name = "twice", .gradient = "dx = 2·dy"},
      kOther{.name = "double", .gradient = "dx = 2·dy", .keeps = "x"},
      kWrong{.name = "twice", .signature = "x[] -> y[]", .gradient = "dx = 2·dy", .keeps = "x"},
      kNegative{.name = "twice",
                .signature = "x[n...] -> y[n...]",
                .flops = "0 - n",
                .gradient = "dx = 2·dy",
                .keeps = "x"};
  const auto row = [](const OpInfo& info, const OpInfo& recorded_as, bool hides, int records = 1) {
    return OpCase{.info = info,
                  .samples = {{{{3}}}},
                  .apply =
                      [&recorded_as, hides, records](std::span<const Var> in, const Sample&) {
                        Var y;
                        for (int i = 0; i < records; ++i) {
                          const Tensor value = affine(Var(in[0].value()), 2, 0).value();
                          if (hides) hidden.push_back(value.clone());
                          y = record(recorded_as, value, {in[0]}, {in[0].value()},
                                     [](const Tensor& dy, Needs, Kept) -> Grads {
                                       return {affine(Var(dy), 2, 0).value()};
                                     });
                        }
                        return y;
                      },
                  .reference =
                      [](std::span<const Doubles> in, const Sample&) {
                        Doubles y = in[0];
                        for (double& v : y) v *= 2;
                        return y;
                      }};
  };
  const std::vector<Device> devices{host()};
  const auto report = [&](const OpCase& op) {
    const auto lines = failures(op, devices);
    hidden.clear();
    return lines.empty() ? std::string() : lines[0].substr(lines[0].find(": ") + 2);
  };
  CHECK(report(row(kHonest, kHonest, false)).empty());
  CHECK(report(row(kHonest, kHonest, true)).starts_with("keeps "));
  CHECK(report(row(kUnnamed, kUnnamed, false)) == "keeps 1 tensors, but names \"\"");
  CHECK(report(row(kHonest, kOther, false)) == "is recorded as double");
  CHECK(report(row(kHonest, kHonest, false, 2)) == "made 2 records, expected 1");
  CHECK(report(row(kWrong, kWrong, false)).starts_with("threw \"twice: its signature"));
  CHECK(report(row(kNegative, kNegative, false)) == "has a cost of -3");
}
