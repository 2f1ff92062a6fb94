// SPDX-License-Identifier: Apache-2.0
#include "autograd/tape.h"

#include <doctest/doctest.h>

#include <memory>

#include "autograd/ops/elementwise.h"
#include "autograd/ops/reshape.h"
#include "tests/autograd/machine.h"

using namespace fovea;
using namespace fovea::test;

namespace {

/// What backward asked a counted() op for.
struct Calls {
  int count = 0;
  std::vector<std::vector<bool>> needed = {};
};

/// a·b by hand, so that a test sees when its gradient is asked for and which parts of it.
constexpr OpInfo counted_info{.name = "counted"};
Var counted(Calls& calls, const Var& a, const Var& b) {
  Tensor y = multiply(a.value(), b.value()).value();
  return record(counted_info, std::move(y), {a, b}, {a.value(), b.value()},
                [&calls](const Tensor& dy, Needs needs, Kept kept) -> Grads {
                  ++calls.count;
                  calls.needed.push_back({needs[0], needs[1]});
                  Grads d(2);
                  if (needs[0]) d[0] = multiply(dy, kept[1]).value();
                  if (needs[1]) d[1] = multiply(dy, kept[0]).value();
                  return d;
                });
}

/// x + 1 and 3·x from one record.
constexpr OpInfo plus_and_triple_info{.name = "plus_and_triple"};
std::vector<Var> plus_and_triple(const Var& x, std::vector<bool>* reached = nullptr) {
  std::vector<Tensor> ys{affine(x.value(), 1, 1).value(), affine(x.value(), 3, 0).value()};
  return record(plus_and_triple_info, ys, {x}, {}, [reached](const Grads& dys, Needs, Kept) -> Grads {
    if (reached != nullptr) *reached = {dys[0].defined(), dys[1].defined()};
    Tensor dx;
    if (dys[0].defined()) dx = dys[0];
    if (dys[1].defined()) {
      const Tensor part = affine(dys[1], 3, 0).value();
      dx = dx.defined() ? add(dx, part).value() : part;
    }
    return {dx};
  });
}

}  // namespace

TEST_CASE("a value used several times gets the sum of the slopes") {
  const Machine on;
  Tape tape;
  const Var x = tape.leaf(on({2, -3}));
  tape.backward(sum(x * x));
  CHECK(values(tape.grad(x)) == Floats{4, -6});

  Tape second;
  const Var y = second.leaf(on({2, -3}));
  const Var h = y * 2.0;
  second.backward(sum(h + h * h + y));  // 2y + 4y² + y
  CHECK(values(second.grad(y)) == Floats{3 + 16, 3 - 24});
}

TEST_CASE("a slope handed on to several inputs is not changed by any of them") {
  const Machine on;
  Tape tape;
  const Var a = tape.leaf(on({1, 2})), b = tape.leaf(on({3, 4}));
  const Tensor seed = on({1, 10});
  const Tape::Root roots[] = {{a + b, seed}, {a * 5.0, on({1, 1})}};  // add hands one dy to both
  tape.backward(roots);
  CHECK(values(tape.grad(a)) == Floats{6, 15});
  CHECK(values(tape.grad(b)) == Floats{1, 10});
  CHECK(values(seed) == Floats{1, 10});
}

TEST_CASE("several roots with seeds") {
  const Machine on;
  Tape tape;
  const Var x = tape.leaf(on({1, 2}));
  const Var twice = x * 2.0, squares = square(x), loss = sum(x);
  const Tape::Root roots[] = {{twice, on({1, 10})}, {squares, on({100, 0})}, {loss, {}}, {x, on({0, 0.5f})}};
  tape.backward(roots);
  CHECK(values(tape.grad(x)) == Floats{2 + 200 + 1, 20 + 1 + 0.5f});
}

TEST_CASE("keep lets backward run again") {
  const Machine on;
  Tape tape;
  const Var x = tape.leaf(on({3}));
  const Var loss = sum(square(x));
  tape.backward(loss, true);
  CHECK(values(tape.grad(x)) == Floats{6});
  CHECK(tape.size() == 2);
  tape.backward(loss, true);
  CHECK(values(tape.grad(x)) == Floats{6});  // each pass starts afresh
  tape.backward(loss);
  CHECK(values(tape.grad(x)) == Floats{6});
  CHECK(tape.size() == 0);
}

TEST_CASE("a pass over freed records is an error and not a gradient of zero") {
  const Machine on;
  Tape tape;
  const Var x = tape.leaf(on({3}));
  const Var h = square(x), loss = sum(h);
  tape.backward(loss);
  const std::string text =
      "the records that lead to [1] were freed by an earlier backward; pass keep = true to that one";
  CHECK(message([&] { tape.backward(loss); }) ==
        "backward: the records that lead to [] were freed by an earlier backward; pass keep = true to that "
        "one");
  const Var more = sum(h * 2.0);  // recorded since, on top of what is gone
  CHECK(message([&] { tape.backward(more); }) == "affine: " + text);

  // Leaves have no records: what is recorded on them later is complete.
  tape.backward(sum(x * 2.0));
  CHECK(values(tape.grad(x)) == Floats{2});
}

TEST_CASE("no_grad and detach stop the recording") {
  const Machine on;
  Tape tape;
  const Var x = tape.leaf(on({3}));
  {
    const auto guard = tape.no_grad();
    const Var y = square(x);
    CHECK(values(y.value()) == Floats{9});
    CHECK_FALSE(y.needs_grad());
    { const auto inner = tape.no_grad(); }
    CHECK_FALSE(square(x).needs_grad());  // the inner one gave back what it found
    CHECK_FALSE(tape.leaf(on({1})).needs_grad());
  }
  CHECK(tape.size() == 0);
  CHECK(square(x).needs_grad());

  const Var stopped = detach(square(x));
  CHECK_FALSE(stopped.needs_grad());
  CHECK(stopped.tape() == &tape);  // random ops still find their seed
  tape.backward(sum(stopped * x));
  CHECK(values(tape.grad(x)) == Floats{9});
  CHECK(detach(Var(on({1}))).tape() == nullptr);
}

TEST_CASE("constants record nothing") {
  const Machine on;
  const Var bare = square(Var(on({3})));
  CHECK(bare.tape() == nullptr);
  CHECK_FALSE(bare.needs_grad());
  CHECK(values(bare.value()) == Floats{9});

  Tape tape;
  const Var data = tape.input(on({3}));
  const Var y = square(data) + Var(on({1}));
  CHECK(y.tape() == &tape);
  CHECK_FALSE(y.needs_grad());
  CHECK(tape.size() == 0);
  CHECK(values(y.value()) == Floats{10});
}

TEST_CASE("a leaf with a gradient of its own adds up") {
  const Machine on;
  const Tensor value = on({1, 2});
  Tensor grad;
  {
    Tape tape;
    const Var x = tape.leaf(value, &grad);
    CHECK(tape.leaf(value, &grad).id() == x.id());  // one parameter, one leaf
    tape.backward(sum(x * tape.leaf(value, &grad)), true);
    CHECK(values(grad) == Floats{2, 4});
    tape.backward(sum(square(x)));
    CHECK(values(grad) == Floats{4, 8});
    CHECK(values(tape.grad(x)) == Floats{2, 4});  // of the last pass
  }
  Tape tape;
  tape.backward(sum(tape.leaf(value, &grad) * 3.0));
  CHECK(values(grad) == Floats{7, 11});
}

TEST_CASE("a first gradient that is a seed or an expanded view becomes a tensor of its own") {
  const Machine on;
  Tape tape;
  Tensor grad;
  const Var x = tape.leaf(on({1, 2}), &grad);
  const Tensor seed = on({5, 6});
  const Tape::Root root{x, seed};
  tape.backward(std::span(&root, 1), true);
  tape.backward(sum(x));
  CHECK(values(grad) == Floats{6, 7});
  CHECK(values(seed) == Floats{5, 6});
}

TEST_CASE("backward calls no op that no root depends on") {
  const Machine on;
  Tape tape;
  Calls reached, unreached;
  const Var x = tape.leaf(on({2})), y = tape.leaf(on({5}));
  const Var used = counted(reached, x, x), unused = counted(unreached, x, y);
  CHECK(tape.size() == 2);
  tape.backward(sum(used));
  CHECK(reached.count == 1);
  CHECK(unreached.count == 0);
  CHECK(unused.needs_grad());
  CHECK(values(tape.grad(x)) == Floats{4});
  CHECK_FALSE(tape.grad(y).defined());
}

TEST_CASE("an op computes only gradients that somebody needs") {
  const Machine on;
  Tape tape;
  Calls calls;
  const Var leaf = tape.leaf(on({2})), data = tape.input(on({7})), constant = on({3});
  Var loss = counted(calls, data, leaf);
  loss = loss + counted(calls, leaf, constant);
  loss = loss + counted(calls, leaf, leaf);
  loss = sum(loss + counted(calls, data, constant));
  tape.backward(loss);
  CHECK(calls.needed == std::vector<std::vector<bool>>{{true, true}, {true, false}, {false, true}});
  CHECK(values(tape.grad(leaf)) == Floats{7 + 3 + 4});
}

TEST_CASE("an op of several results") {
  const Machine on;
  Tape tape;
  const Var x = tape.leaf(on({2}));
  std::vector<bool> reached;
  const std::vector<Var> both = plus_and_triple(x, &reached);
  CHECK(values(both[0].value()) == Floats{3});
  CHECK(values(both[1].value()) == Floats{6});
  tape.backward(sum(both[0] * both[1]), true);  // (x + 1)·3x
  CHECK(reached == std::vector<bool>{true, true});
  CHECK(values(tape.grad(x)) == Floats{6 + 9});
  tape.backward(sum(both[1]));
  CHECK(reached == std::vector<bool>{false, true});
  CHECK(values(tape.grad(x)) == Floats{3});
  for (const Var& y : plus_and_triple(on({2}))) CHECK_FALSE(y.needs_grad());
}

TEST_CASE("backward frees what the records held, and a tape what is left") {
  const Machine on;
  const std::size_t before = on.live_bytes();
  {
    const Tensor value = on(Floats(16, 1.0f));
    const std::size_t one = on.live_bytes() - before;
    Tape tape;
    const Var x = tape.leaf(value);
    Var loss;
    {
      Var h = x;
      for (int i = 0; i < 10; ++i) h = exp(h * 0.1);  // exp keeps its result in its own closure
      loss = sum(h);
    }
    const std::size_t recorded = on.live_bytes();
    CHECK(recorded > before + 11 * one);
    tape.backward(loss);
    CHECK(on.live_bytes() == recorded - 9 * one);  // ten results of exp went, the gradient of x came
  }
  CHECK(on.live_bytes() == before);
  {
    Tape never_run;  // a closure that holds its own result is no cycle
    const Var y = exp(never_run.leaf(on({1, 2})));
    CHECK(on.live_bytes() > before);
  }
  CHECK(on.live_bytes() == before);
}

TEST_CASE("what a record keeps goes as soon as backward has passed it") {
  static constexpr OpInfo kWatcher{.name = "watcher"}, kHolder{.name = "holder"};
  const Machine on;
  Tape tape;
  const Var x = tape.leaf(on.scalar(1));
  std::size_t passed = 0;
  const Arena* arena = &on.device.arena();
  const Var first =
      record(kWatcher, x.value(), {x}, {}, [&passed, arena](const Tensor& dy, Needs, Kept) -> Grads {
        passed = arena->stats().live_bytes;
        return {dy};
      });
  const std::size_t before = on.live_bytes();
  const Var loss = record(kHolder, on.scalar(2), {first}, {on(Floats(1000))},
                          [](const Tensor& dy, Needs, Kept) -> Grads { return {dy}; });
  CHECK(on.live_bytes() >= before + 4000);
  tape.backward(loss);
  CHECK(passed < before + 4000);
  const std::size_t after = on.live_bytes();
  (void)record(
      kHolder, on.scalar(2), {on.scalar(1)}, {on(Floats(1000))},
      [](const Tensor& dy, Needs, Kept) -> Grads { return {dy}; });  // nothing to record: dropped at once
  CHECK(on.live_bytes() == after);
}

TEST_CASE("a rule may give no gradient for an input that wants one: it is zero") {
  static constexpr OpInfo kStep{.name = "step"};
  const Machine on;
  Tape tape;
  const Var x = tape.leaf(on({2}));
  tape.backward(record(kStep, on({1}), {x}, {}, [](const Tensor&, Needs, Kept) -> Grads { return {}; }));
  CHECK_FALSE(tape.grad(x).defined());
}

TEST_CASE("what a tape refuses") {
  const Machine on{Device::cpu({.threads = 1})};  // which the messages name
  Tape tape, other;
  const Var x = tape.leaf(on({1, 2})), y = other.leaf(on({3, 4}));
  CHECK(message([&] { (void)(x + y); }) ==
        "add: inputs are recorded on two different tapes; detach() one of them");
  CHECK(message([&] {
          (void)(x + Var(floats({1, 2}, {2}, Device::simt())));
        }) == "add: [2] is on cpu and [2] on simt; move one with to()");
  CHECK(message([&] { tape.backward(square(x)); }) ==
        "backward: the root [2] is not a single element: reduce it to a loss or pass a seed");
  CHECK(message([&] { tape.backward(tape.input(on({1}))); }) ==
        "backward: the root [1] does not depend on any leaf of this tape");
  CHECK(message([&] { tape.backward(sum(y)); }) ==
        "backward: the root [] does not depend on any leaf of this tape");
  const Tape::Root wrong{square(x), on({1, 2, 3})};
  CHECK(message([&] { tape.backward(std::span(&wrong, 1)); }) ==
        "backward: the gradient [3] does not have the shape [2] of its input");
  static constexpr OpInfo kArgmax{.name = "argmax"}, kBad{.name = "bad"};
  CHECK(message([&] { (void)record_constant(kArgmax, on({1}), {x}); }) ==
        "argmax: has no gradient, but its input [2] needs one; detach() it first");
  CHECK(record_constant(kArgmax, on({1}), {detach(x)}).tape() == &tape);
  CHECK(record_constant(kArgmax, on({1}), {Var(on({1}))}).tape() == nullptr);
  CHECK(message([&] { (void)tape.grad(square(x)); }) == "grad: [2] is not a leaf of this tape");
  CHECK(message([&] { (void)tape.grad(y); }) == "grad: [2] is not a leaf of this tape");
  CHECK(message([&] { check_dtype("fft", "x", on({1}), DType::f64); }) ==
        "fft: x [1] is f32, expected f64; convert it with to()");

  const Var bad = record(kBad, on({1}), {x}, {}, [](const Tensor& dy, Needs, Kept) -> Grads { return {dy}; });
  CHECK(message([&] { tape.backward(bad); }) ==
        "bad: the gradient [1] does not have the shape [2] of its input");
}

TEST_CASE("a tape prints its records") {
  const Machine on;
  Tape tape;
  CHECK(tape.str().empty());
  const Var x = tape.leaf(on({1, 2})), w = tape.leaf(on({3, 4}));
  (void)sum(x * w + tape.input(on({1, 1})));
  (void)plus_and_triple(w);
  CHECK(tape.str() ==
        "%2 = multiply(0, 1) -> [2]\n"
        "%3 = add(2, -1) -> [2]\n"
        "%4 = sum(3) -> []\n"
        "%5 = plus_and_triple(1) -> [2], [2]\n");
}

TEST_CASE("random keys come from seed, step and stream") {
  const Tape tape({.seed = 7, .step = 3});
  const philox::Key key = tape.key("noise1");
  CHECK(key.seed == 7);
  CHECK(key.step == 3);
  CHECK(key.stream == philox::stream_id("noise1"));
  CHECK(key.stream != tape.key("noise2").stream);
}
