// SPDX-License-Identifier: Apache-2.0
#include <doctest/doctest.h>

#include "autograd/ops/elementwise.h"
#include "autograd/ops/reshape.h"
#include "autograd/tape.h"
#include "tests/autograd/machine.h"

using namespace fovea;
using namespace fovea::test;

TEST_CASE(
    "a record says what it keeps, whose memory that is, which module asked, and where its rule stands") {
  const Machine on;
  Tape tape;
  Tensor grad;
  const Tensor data = on({1, 2, 3, 4});
  const Var x = tape.input(data);
  Var w, h, loss;
  {
    const Tape::Scope scope(&tape, "layer");
    w = tape.leaf(on({1, 2, 3, 4}), &grad, "weight");
    h = x * w;
  }
  {
    const Tape::Scope without_tape(nullptr, "nothing");
    const Var view = reshape(h, {2, 2});
    loss = sum(square(view));
  }
  CHECK(tape.is_leaf(w.id()));
  CHECK_FALSE(tape.is_leaf(h.id()));
  CHECK(tape.leaf_name(w.id()) == "layer.weight");
  CHECK(tape.leaf_name(tape.leaf(on({1}), nullptr, "alone").id()) == "alone");
  CHECK(tape.leaf_name(tape.leaf(on({1})).id()).empty());

  const auto records = tape.records();
  const Tape::Record &product = records[0], &view = records[1], &squares = records[2];
  CHECK(product.info == &multiply_info);
  CHECK(product.module == "layer");
  CHECK(product.where.str().starts_with("autograd/ops/elementwise.h:"));
  CHECK(product.inputs[0].id == -1);
  CHECK(product.inputs[1].id == w.id());
  CHECK(product.inputs[1].shape == Shape{4});
  CHECK(product.memory == std::vector<int>{Tape::kOutside, w.id()});
  CHECK(product.kept[0].shares_memory_with(data));
  CHECK(view.module.empty());
  CHECK(view.kept.empty());
  CHECK(squares.memory == std::vector<int>{h.id()});  // through the view
  CHECK((Where{"/home/me/ops/mine.h", 7}).str() == "/home/me/ops/mine.h:7");
}

TEST_CASE("an observer is told of each op, recorded or not, and of each gradient") {
  struct Log final : TapeObserver {
    std::string text;
    void computed(const OpInfo& info, const std::string& module, std::span<const Var> inputs,
                  std::span<const Var> results) override {
      text +=
          fmt::format("{}{}({}){} ", module, info.name, inputs.size(), results[0].needs_grad() ? "" : "!");
    }
    void backward_begins(const Tape::Record& entry, const Grads& dys) override {
      text += fmt::format("<{}{} ", entry.info->name, dys.size());
    }
    void backward_ends(const Tape::Record&, const Grads& dxs) override {
      for (const Tensor& dx : dxs) text += dx.defined() ? "+" : "-";
      text += "> ";
    }
  };
  const Machine on;
  Log log;
  Tape tape({}, &log);
  const Var x = tape.leaf(on({1, 2}));
  {
    const Tape::Scope scope(&tape, "m.");
    (void)square(tape.input(on({1})));
  }
  const Var unused = exp(x), loss = sum(x * on({3, 4}));
  tape.backward(loss);
  CHECK(log.text == "m.square(1)! exp(1) multiply(2) sum(1) <sum1 +> <multiply1 +-> ");
  CHECK(unused.needs_grad());

  TapeObserver silent;  // may look at nothing
  Tape second({}, &silent);
  second.backward(sum(second.leaf(on({1}))));
  CHECK(second.size() == 0);
}
