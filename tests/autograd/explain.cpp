// SPDX-License-Identifier: Apache-2.0
#include "autograd/explain.h"

#include <doctest/doctest.h>

#include "autograd/checkpoint.h"
#include "autograd/ops/batch_norm.h"
#include "autograd/ops/conv2d.h"
#include "autograd/ops/elementwise.h"
#include "autograd/ops/reshape.h"
#include "nn/conv2d.h"
#include "nn/init.h"
#include "tests/host.h"

using namespace fovea;
using fovea::test::host;

namespace {

/// Bytes of a shape in f32.
std::int64_t bytes(const Shape& shape) { return 4 * shape.numel(); }

}  // namespace

TEST_CASE("the tape of a small network, op by op") {
  class Net final : public nn::Module {
   public:
    Net() : conv_(2, 3, 3, host()) { add_child("conv", conv_); }
    Var forward(const Var& x) override { return flatten(relu(conv_(x))); }

   private:
    nn::Conv2d conv_;
  };
  Net net;
  nn::initialize(net, 1);
  const Shape images{4, 2, 6, 7}, maps{4, 3, 4, 5};
  Tape tape;
  const Var y = net(tape.input(Tensor::zeros(images, DType::f32, host())));
  const Var loss = mean(square(y) * y);
  const std::vector<ExplainedOp> ops = explain(tape);
  REQUIRE(ops.size() == 6);

  const auto pixels = static_cast<double>(maps.numel());
  const ExplainedOp& conv = ops[0];
  CHECK(conv.op == "conv2d");
  CHECK(conv.module == "conv");
  CHECK(conv.inputs.size() == 3);
  CHECK(conv.inputs[0].name == "data");
  CHECK(conv.inputs[1].name == "conv.weight");
  CHECK(conv.inputs[2].name == "conv.bias");
  CHECK(conv.shapes[0] == maps);
  CHECK(conv.cost.flops == 2.0 * pixels * 2 * 3 * 3);
  CHECK(conv.cost.gradient_flops == conv.cost.flops + pixels);  // the data want none
  REQUIRE(conv.kept.size() == 2);
  CHECK(conv.kept[0].name == "x");
  CHECK(conv.kept[0].memory == "data");
  CHECK(conv.kept[0].bytes == bytes(images));
  CHECK(conv.kept[0].adds == 0);
  CHECK(conv.kept[1].memory == "conv.weight");
  CHECK(conv.kept[1].adds == 0);
  CHECK(conv.source.starts_with("autograd/ops/conv2d.h:"));

  const ExplainedOp &rectified = ops[1], &squares = ops[3], &product = ops[4];
  CHECK(rectified.kept[0].adds == bytes(maps));
  CHECK(rectified.kept[0].memory == fmt::format("%{}", rectified.id));
  CHECK(ops[2].op == "flatten");
  CHECK(squares.kept[0].memory == rectified.kept[0].memory);  // through the view
  CHECK(squares.kept[0].adds == 0);                           // relu keeps it already
  CHECK(product.kept[0].adds == bytes(maps));
  CHECK(product.kept[1].adds == 0);
  CHECK(loss.needs_grad());
}

TEST_CASE("operands that are left out, leaves without a name, statistics, and an op that names nothing") {
  static constexpr OpInfo kQuiet{.name = "quiet"};
  Tape tape;
  const Var x = tape.leaf(Tensor::zeros({4, 3}, DType::f32, host()));
  const Tensor mean = Tensor::zeros({3}, DType::f32, host()),
               variance = Tensor::zeros({3}, DType::f32, host());
  const Var y = batch_norm_train(x, Var(), Var(), mean, variance);
  (void)record(kQuiet, y.value(), {y}, {y.value()},
               [](const Tensor& dy, Needs, Kept) -> Grads { return {dy}; });
  const std::vector<ExplainedOp> ops = explain(tape);
  CHECK(ops[0].inputs[0].name == "%0");
  CHECK(ops[0].inputs[1].name == "none");
  REQUIRE(ops[0].kept.size() == 3);  // gamma is left out
  CHECK(ops[0].kept[0].memory == "%0");
  CHECK(ops[0].kept[0].adds == 0);  // a leaf is alive anyway
  CHECK(ops[0].kept[1].name == "mean");
  CHECK(ops[0].kept[1].memory == "own");
  CHECK(ops[0].kept[1].adds == 12);
  CHECK(ops[1].kept[0].name == "?");
  CHECK(ops[1].kept[0].memory == "%1");
}

TEST_CASE("what the tape keeps in all is what the arena holds for it") {
  const Device device = Device::cpu({.threads = 1});
  const Tensor data = Tensor::zeros({16, 64}, DType::f32, device);  // sizes that the arena does not round
  const std::size_t before = device.arena().stats().live_bytes;
  Tape tape;
  {
    const Var x = tape.leaf(data);
    (void)checkpoint([](const Var& in) { return exp(exp(in)); }, exp(sigmoid(x) * x));
  }
  std::int64_t adds = 0;
  for (const ExplainedOp& op : explain(tape))
    for (const KeptTensor& kept : op.kept) adds += kept.adds;
  CHECK(adds == static_cast<std::int64_t>(device.arena().stats().live_bytes - before));
  CHECK(adds ==
        2 * 16 * 64 * 4);  // sigmoid's y, which is the product's a; exp's y, which is the checkpoint's input
}
