// SPDX-License-Identifier: Apache-2.0
#include <doctest/doctest.h>

#include <algorithm>

#include "autograd/explain.h"
#include "autograd/ops/conv_rnn_composed.h"
#include "autograd/ops/conv_rnn_simple.h"
#include "kernels/simt/grid.h"
#include "tests/ops/conv_rnn_forms.h"
#include "tests/ops/conv_rnn_reference.h"

/// What fusing promises: the values and gradients of the composition, at most three launches, at most half
/// the memory.
namespace fovea::test {
namespace {

using Operands = std::vector<Var>;

/// A cell in both forms, on operands of these shapes; an empty shape is a bias that is left out.
struct Pair {
  const char* name;
  std::vector<Shape> maps, weights;
  std::function<Operands(const Operands&, bool keep_gates)> fused;
  std::function<Operands(const Operands&)> composed;
  bool gated = true;  ///< keeps at most half of what the composition keeps
  int launches = 2;
};

Pair reciprocal(const char* name, Form form, const Sizes& sizes, int launches) {
  Pair pair{.name = name,
            .maps = {},
            .weights = {},
            .fused =
                [=](const Operands& in, bool keep) {
                  const Step step = step_of(in, form, sizes, keep);
                  const auto s = reciprocal_gated_step(step.inputs, step.state, step.weights, step.options);
                  return sizes.c > 0 ? Operands{s.c, s.h} : Operands{s.h};
                },
            .composed =
                [=](const Operands& in) {
                  const Step step = step_of(in, form, sizes, false);
                  const auto s =
                      reciprocal_gated_composed(step.inputs, step.state, step.weights, step.options);
                  return sizes.c > 0 ? Operands{s.c, s.h} : Operands{s.h};
                },
            .launches = launches};
  for (const Given& given : operands_of(form, sizes))
    (given.operand < conv_rnn::kFirstKernel ? pair.maps : pair.weights).push_back(given.shape);
  return pair;
}

std::vector<Pair> pairs(std::int64_t n, std::int64_t height, std::int64_t width) {
  const auto map = [=](std::int64_t channels) { return Shape{n, channels, height, width}; };
  const std::int64_t c = 3, d = 5;
  return {
      {"time_decay",
       {map(c), map(c)},
       {Shape{}},
       [](const Operands& in, bool) { return Operands{time_decay_step(in[0], in[1], in[2])}; },
       [](const Operands& in) { return Operands{time_decay_composed(in[0], in[1], in[2])}; },
       false,
       1},
      {"simple",
       {map(c), map(d)},
       {{d, c, 3, 3}, {d, d, 3, 3}, {d}},
       [](const Operands& in, bool) { return Operands{conv_simple_step(in[0], in[1], in[2], in[3], in[4])}; },
       [](const Operands& in) { return Operands{conv_simple_composed(in[0], in[1], in[2], in[3], in[4])}; },
       false,
       1},
      {"lstm",
       {map(c), map(d), map(d)},
       {{4 * d, c + d, 2, 3}, {4 * d}},
       [](const Operands& in, bool keep) {
         const auto s = conv_lstm_step(in[0], {in[1], in[2]}, in[3], in[4], {.keep_gates = keep});
         return Operands{s.h, s.c};
       },
       [](const Operands& in) {
         const auto s = conv_lstm_composed(in[0], {in[1], in[2]}, in[3], in[4]);
         return Operands{s.h, s.c};
       }},
      {"gru",
       {map(c), map(d)},
       {{2 * d, c + d, 3, 3}, {2 * d}, {d, c + d, 4, 4}, {d}},
       [](const Operands& in, bool keep) {
         return Operands{conv_gru_step(in[0], in[1], {in[2], in[3], in[4], in[5]}, {.keep_gates = keep})};
       },
       [](const Operands& in) {
         return Operands{conv_gru_composed(in[0], in[1], {in[2], in[3], in[4], in[5]})};
       },
       true,
       3},
      {"ugrnn",
       {map(c), map(d)},
       {{2 * d, c + d, 3, 3}, {2 * d}},
       [](const Operands& in, bool keep) {
         return Operands{conv_ugrnn_step(in[0], in[1], in[2], in[3], {.keep_gates = keep})};
       },
       [](const Operands& in) { return Operands{conv_ugrnn_composed(in[0], in[1], in[2], in[3])}; }},
      {"intersection",
       {map(d), map(d)},
       {{4 * d, 2 * d, 3, 3}, {4 * d}},
       [](const Operands& in, bool keep) {
         const auto s = intersection_rnn_step(in[0], in[1], in[2], in[3], {.keep_gates = keep});
         return Operands{s.y, s.h};
       },
       [](const Operands& in) {
         const auto s = intersection_rnn_composed(in[0], in[1], in[2], in[3]);
         return Operands{s.y, s.h};
       }},
      reciprocal("reciprocal, paper", kPaper, {n, height, width, d, 0, 0, d, d}, 2),
      reciprocal("reciprocal, shallow", kShallow, {n, height, width, d, c, 0, d, d}, 2),
      reciprocal("reciprocal, median", kMedian, {n, height, width, d, c, 4, 2, d}, 3),
      reciprocal("reciprocal, everything", kEverything, {n, height, width, c, d, 2, 4, d}, 2),
      reciprocal("reciprocal, all separable", kSeparable, {n, height, width, c, 2, 4, 2, d}, 3),
      reciprocal("reciprocal, one state", kOneState, {n, height, width, c, 0, 0, 0, d}, 2),
  };
}

Tensor normal(const Shape& shape, std::uint32_t stream, float sd, const Device& device) {
  return Tensor::normal(shape, {5, stream, 0, nullptr}, 0.0f, sd, device);
}

/// Results, then gradients of all operands.
std::vector<Doubles> run(const Pair& pair, const Device& device, int form) {
  Tape tape;
  Operands in;
  for (const Shape& shape : pair.maps)
    in.push_back(tape.leaf(normal(shape, static_cast<std::uint32_t>(in.size()), 1.0f, device)));
  for (const Shape& shape : pair.weights)
    in.push_back(tape.leaf(normal(shape, static_cast<std::uint32_t>(in.size()), 0.2f, device)));
  const Operands out = form == 0 ? pair.composed(in) : pair.fused(in, form == 2);
  std::vector<Doubles> found;
  std::vector<Tape::Root> roots;
  for (const Var& y : out) {
    found.push_back(y.value().to_vector<double>());
    roots.push_back({y, normal(y.shape(), 90 + static_cast<std::uint32_t>(roots.size()), 1.0f, device)});
  }
  tape.backward(roots);
  for (const Var& x : in) {  // a c without channels has no gradient
    const Tensor slope = tape.grad(x);
    found.push_back(slope.defined() ? slope.to_vector<double>() : Doubles{});
  }
  return found;
}

/// Bytes that a step keeps alive beyond weights: its maps are results of ops before it, as in a net.
std::int64_t kept_bytes(const Pair& pair, bool fused) {
  const Device device = Device::cpu();
  Tape tape;
  Operands in;
  for (const Shape& shape : pair.maps)
    in.push_back(affine(tape.leaf(Tensor::zeros(shape, DType::f32, device)), 1.0, 0.0));
  for (const Shape& shape : pair.weights) in.push_back(tape.leaf(Tensor::zeros(shape, DType::f32, device)));
  fused ? pair.fused(in, false) : pair.composed(in);
  std::int64_t bytes = 0;
  for (const ExplainedOp& op : explain(tape))
    for (const KeptTensor& kept : op.kept) bytes += kept.adds;
  return bytes;
}

}  // namespace

TEST_CASE("conv_rnn_fused_equals_composed") {
  for (const Device& device : devices())
    for (const Size2d map : {Size2d(7), Size2d(5, 3)})
      for (const std::int64_t n : {1, 3})
        for (const Pair& pair : pairs(n, map.height, map.width)) {
          INFO(pair.name << " " << n << " of " << map.height << "x" << map.width << " on "
                         << device.description());
          const auto expected = run(pair, device, 0);
          for (const int form : {1, 2}) {
            const auto found = run(pair, device, form);
            REQUIRE(found.size() == expected.size());
            for (std::size_t k = 0; k < found.size(); ++k) {
              INFO("value or gradient " << k << (form == 2 ? ", gates kept" : ""));
              REQUIRE(found[k].size() == expected[k].size());
              double largest = 0, off = 0;
              for (std::size_t i = 0; i < found[k].size(); ++i) {
                largest = std::max(largest, std::abs(expected[k][i]));
                off = std::max(off, std::abs(found[k][i] - expected[k][i]));
              }
              CHECK((largest > 0 || expected[k].empty()));
              CHECK(off <= 1e-5 * largest);  // two orders of summation; a wrong term is off by a few percent
            }
          }
        }
}

TEST_CASE("conv_rnn_launches") {
  const Device device = Device::simt();
  auto& grid = std::get<std::reference_wrapper<simt::Grid>>(device.queue()).get();
  for (const Pair& pair : pairs(2, 5, 3)) {
    INFO(pair.name);
    Operands in;
    for (const auto* shapes : {&pair.maps, &pair.weights})
      for (const Shape& shape : *shapes) in.push_back(Tensor::zeros(shape, DType::f32, device));
    grid.reset_launches();
    pair.fused(in, false);
    CHECK(grid.launches() == pair.launches);
    CHECK(grid.launches() <= 3);
    grid.reset_launches();
    pair.fused(in, true);  // a GRU's reset gate, to be kept, has to be written before it is multiplied
    CHECK(grid.launches() == pair.launches + (std::string(pair.name) == "gru" ? 1 : 0));
  }
}

/// With maps of 14x14, where weights are small beside them. The cells without gates keep exactly what their
/// compositions keep: their inputs, and SimpleRNN its result.
TEST_CASE("conv_rnn_kept_bytes") {
  for (const Pair& pair : pairs(4, 14, 14)) {
    INFO(pair.name);
    const std::int64_t fused = kept_bytes(pair, true), composed = kept_bytes(pair, false);
    CHECK(fused > 0);
    if (pair.gated)
      CHECK(2 * fused <= composed);
    else
      CHECK(fused == composed);
    std::int64_t maps = 0;
    for (const Shape& shape : pair.maps) maps += 4 * shape.numel();
    if (pair.gated) CHECK(fused == maps);  // nothing but its inputs and states
  }
}

}  // namespace fovea::test
