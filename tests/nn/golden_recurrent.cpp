// SPDX-License-Identifier: Apache-2.0
#include "autograd/ops/join.h"
#include "autograd/ops/reshape.h"
#include "nn/recurrent.h"
#include "tests/nn/golden.h"

using namespace fovea;
using namespace fovea::test;

namespace {

/// [layers · directions, B, H] row by row, as PyTorch stacks states.
std::vector<Var> rows(const Var& stacked) {
  std::vector<Var> list;
  const Shape& shape = stacked.shape();
  for (const Var& row : split(stacked, static_cast<int>(shape[0]), 0))
    list.push_back(reshape(row, {shape[1], shape[2]}));
  return list;
}

Var stack(const std::vector<Var>& list) {
  std::vector<Var> raised;
  for (const Var& v : list) raised.push_back(reshape(v, {1, v.shape()[0], v.shape()[1]}));
  return concat(raised, 0);
}

template <class Layers>
void check_recurrent(const Golden& golden, GoldenRun& run, const std::string& name, const Device& device) {
  const auto o = golden.options(name);
  Layers layers(golden.at(name, "x").size(2), o[0], device,
                {.layers = static_cast<int>(o[1]), .bidirectional = o[2] == 2});
  nn::State weights;
  for (const nn::NamedParameter& named : layers.named_parameters())
    weights.emplace(named.name, golden.at(name, named.name));
  layers.load_state(weights);
  const Var x = run.leaf("x");
  nn::RecurrentState state{.h = rows(run.leaf("h0"))};
  if (golden.has(name, "c0")) state.c = rows(run.leaf("c0"));
  const Tensor lengths = golden.has(name, "lengths") ? run.constant("lengths") : Tensor();
  const nn::RecurrentRun result = layers.run(x, lengths, state);
  std::vector<std::pair<std::string, Var>> results{{"y", result.y}, {"h", stack(result.state.h)}};
  if (!result.state.c.empty()) results.emplace_back("c", stack(result.state.c));
  run.check(results);
  for (const nn::NamedParameter& named : layers.named_parameters())
    check_close(name + " gradient of " + named.name, named.parameter->grad,
                golden.at(name, "d_" + named.name));
}

}  // namespace

TEST_CASE("golden LSTM and GRU") {
  const Golden golden("recurrent");
  for_golden_cases(golden, [&](GoldenRun& run, const std::string& name) {
    if (name.rfind("lstm", 0) == 0)
      check_recurrent<nn::LSTM>(golden, run, name, run.device());
    else
      check_recurrent<nn::GRU>(golden, run, name, run.device());
  });
}
