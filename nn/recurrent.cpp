// SPDX-License-Identifier: Apache-2.0
#include "nn/recurrent.h"

#include "autograd/ops/elementwise.h"
#include "autograd/ops/join.h"
#include "autograd/ops/recurrent.h"
#include "nn/init.h"
#include "tensor/views.h"

namespace fovea::nn {
namespace {

/// U(±1/√hidden), and `added` on top in the forget gate's rows.
InitRule forget_rule(std::int64_t hidden, float added) {
  return [=](const Tensor& value, philox::Key key) {
    init::fan_in_uniform(hidden)(value, key);
    const Tensor forget = slice(value, 0, hidden, 2 * hidden);
    forget.copy_from((Var(forget) + static_cast<double>(added)).value());
  };
}

}  // namespace

template <Cell kCell>
RecurrentLayers<kCell>::RecurrentLayers(std::int64_t input, std::int64_t hidden, const Device& device,
                                        RecurrentOptions options)
    : input_(input), hidden_(hidden), options_(options) {
  constexpr const char* kind = kCell == Cell::lstm ? "lstm" : "gru";
  if (input < 1 || hidden < 1 || options.layers < 1)
    reject<ValueError>(kind, "{} inputs, {} units and {} layers: each must be at least 1", input, hidden,
                       options.layers);
  if (options.forget_bias != 0 && (kCell != Cell::lstm || !options.bias))
    reject<ValueError>(kind, "forget_bias is {}, but there is no bias of a forget gate", options.forget_bias);
  for (int layer = 0; options.dropout != 0 && layer + 1 < options.layers; ++layer) {
    dropouts_.push_back(std::make_unique<Dropout>(options.dropout));
    add_child(fmt::format("dropout_l{}", layer), *dropouts_.back());
  }
  const int directions = options.bidirectional ? 2 : 1;
  const std::int64_t gates = Recurrent{.cell = kCell}.gates() * hidden;
  weights_ = std::vector<Weights>(static_cast<std::size_t>(options.layers * directions));
  for (int k = 0; k < options.layers * directions; ++k) {
    const int layer = k / directions;
    Weights& w = weights_[static_cast<std::size_t>(k)];
    const std::string of = fmt::format("_l{}{}", layer, k % directions == 1 ? "_reverse" : "");
    const InitRule rule = init::fan_in_uniform(hidden);
    add_parameter("weight_ih" + of, w.weight_ih, Role::weight,
                  {gates, layer == 0 ? input : directions * hidden}, device, rule);
    add_parameter("weight_hh" + of, w.weight_hh, Role::weight, {gates, hidden}, device, rule);
    if (!options.bias) continue;
    add_parameter("bias_ih" + of, w.bias_ih, Role::bias, {gates}, device,
                  options.forget_bias != 0 ? forget_rule(hidden, options.forget_bias) : rule);
    add_parameter("bias_hh" + of, w.bias_hh, Role::bias, {gates}, device, rule);
  }
}

template <Cell kCell>
RecurrentRun RecurrentLayers<kCell>::run(const Var& x, const Tensor& lengths, const RecurrentState& initial) {
  const Tape::Scope scope(x.tape(), x.tape() != nullptr ? path() : std::string());
  const std::string kind = label(kCell == Cell::lstm ? "lstm" : "gru");
  if (x.shape().rank() != 3 || x.shape()[2] != input_)
    reject(kind, "x {} is not [T, B, {}], which weight_ih_l0 {} expects", x.shape(), input_,
           weights_[0].weight_ih.value.shape());
  const std::size_t states = weights_.size(), cells = kCell == Cell::lstm ? states : 0;
  const auto fits = [](const std::vector<Var>& list, std::size_t count) {
    return list.empty() || list.size() == count;
  };
  if (!fits(initial.h, states) || !fits(initial.c, cells))
    reject<ValueError>(kind, "the initial state has {} h and {} c, expected {} and {}, or none",
                       initial.h.size(), initial.c.size(), states, cells);
  RecurrentRun result;
  Var in = x;
  for (std::size_t k = 0; k < states; ++k) {
    const auto parameter = [&](Parameter& p) { return p.value.defined() ? on_tape(p, x) : Var(); };
    const auto state = [&](const std::vector<Var>& list) { return list.empty() ? Var() : list[k]; };
    const bool reverse = options_.bidirectional && k % 2 == 1;
    Weights& w = weights_[k];
    const Var weight_ih = parameter(w.weight_ih), weight_hh = parameter(w.weight_hh),
              bias_ih = parameter(w.bias_ih), bias_hh = parameter(w.bias_hh);
    Var y;
    if constexpr (kCell == Cell::lstm) {
      const LstmResult r = lstm(in, weight_ih, weight_hh, bias_ih, bias_hh, state(initial.h),
                                state(initial.c), lengths, reverse);
      y = r.y;
      result.state.h.push_back(r.h_last);
      result.state.c.push_back(r.c_last);
    } else {
      const GruResult r = gru(in, weight_ih, weight_hh, bias_ih, bias_hh, state(initial.h), lengths, reverse);
      y = r.y;
      result.state.h.push_back(r.h_last);
    }
    if (!options_.bidirectional)
      in = y;
    else if (reverse)
      in = concat({result.y, y}, 2);
    result.y = y;
    const std::size_t layer = k / static_cast<std::size_t>(options_.bidirectional ? 2 : 1);
    if ((reverse || !options_.bidirectional) && layer < dropouts_.size()) in = (*dropouts_[layer])(in);
  }
  result.y = in;
  return result;
}

template <Cell kCell>
typename RecurrentLayers<kCell>::Weights& RecurrentLayers<kCell>::weights(int layer, bool reverse) {
  if (layer < 0 || layer >= options_.layers || (reverse && !options_.bidirectional))
    reject<ValueError>(label(kCell == Cell::lstm ? "lstm" : "gru"), "there is no layer {}{} among {}{}",
                       layer, reverse ? " reversed" : "", options_.layers,
                       options_.bidirectional ? " of two directions" : "");
  const int directions = options_.bidirectional ? 2 : 1;
  return weights_[static_cast<std::size_t>(layer * directions + (reverse ? 1 : 0))];
}

template class RecurrentLayers<Cell::lstm>;
template class RecurrentLayers<Cell::gru>;

}  // namespace fovea::nn
