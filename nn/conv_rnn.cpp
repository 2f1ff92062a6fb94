// SPDX-License-Identifier: Apache-2.0
#include "nn/conv_rnn.h"

#include <algorithm>

#include "autograd/ops/conv_rnn_composed.h"
#include "autograd/ops/conv_rnn_simple.h"
#include "nn/init.h"

namespace fovea::nn {

CellState ConvCell::initial_state(const Shape& x) const {
  if (x.rank() != 4) reject(label(kind_), "a state for x {} needs [B, channels, H, W]", x);
  const Device& device = named_parameters().front().parameter->value.device();
  CellState state;
  for (const std::int64_t channels : state_channels(x[1]))
    state.maps.push_back(Tensor::zeros({x[0], channels, x[2], x[3]}, DType::f32, device, "state"));
  return state;
}

CellResult ConvCell::step(const CellInputs& inputs, const CellState& state) {
  const Tape::Scope scope(inputs.x.tape(), inputs.x.tape() != nullptr ? path() : std::string());
  const std::size_t expected = state_channels(1).size();
  if (state.maps.size() != expected)
    reject<ValueError>(label(kind_), "a state of {} maps was given, expected {}; begin with initial_state()",
                       state.maps.size(), expected);
  return next(inputs, state);
}

Size2d ConvCell::fit(Size2d kernel, Size2d map) {
  const auto cut = [](std::int64_t taps, std::int64_t size) {
    return size > 0 ? std::min(taps, size) : taps;
  };
  return {cut(kernel.height, map.height), cut(kernel.width, map.width)};
}

TimeDecay::TimeDecay(const Device& device, float start, bool trainable, bool fused)
    : ConvCell("time_decay"), fused_(fused) {
  add_parameter("tau", tau, Role::scale, Shape{}, device, init::constant(start));
  tau.trainable = trainable;
}

CellResult TimeDecay::next(const CellInputs& inputs, const CellState& state) {
  const Var part = on_tape(tau, inputs.x);
  const Var y = fused_ ? time_decay_step(inputs.x, state.maps[0], part)
                       : time_decay_composed(inputs.x, state.maps[0], part);
  return {y, {{y}}};
}

SimpleConvRNN::SimpleConvRNN(std::int64_t in, std::int64_t channels, const Device& device,
                             ConvCellShape shape, bool layer_norm)
    : ConvCell("simple_conv_rnn"), shape_(shape) {
  const Size2d k = fit(shape.kernel, shape.map);
  add_parameter("weight_x", weight_x, Role::weight, {channels, in, k.height, k.width}, device,
                init::xavier_uniform());
  add_parameter("weight_h", weight_h, Role::weight, {channels, channels, k.height, k.width}, device,
                init::xavier_uniform());
  add_parameter("bias", bias, Role::bias, {channels}, device, init::constant(0.0f));
  if (!layer_norm) return;
  add_parameter("norm_weight", norm_weight, Role::scale, {channels}, device, init::constant(1.0f));
  add_parameter("norm_bias", norm_bias, Role::shift, {channels}, device, init::constant(0.0f));
}

CellResult SimpleConvRNN::next(const CellInputs& inputs, const CellState& state) {
  const bool has_norm = norm_weight.value.defined();
  const Function f = has_norm ? Function::identity : Function::elu;
  const auto step = shape_.fused ? conv_simple_step : conv_simple_composed;
  const Var& x = inputs.x;
  Var h = step(x, state.maps[0], on_tape(weight_x, x), on_tape(weight_h, x), on_tape(bias, x), f);
  if (has_norm) h = elu(map_norm(h, on_tape(norm_weight, x), on_tape(norm_bias, x)));
  return {h, {{h}}};
}

ConvLSTM::ConvLSTM(std::int64_t in, std::int64_t channels, const Device& device, ConvCellShape shape,
                   ConvLstmExtraOptions extras)
    : ConvCell("conv_lstm"), shape_(shape), extras_(extras) {
  const Size2d k = fit(shape.kernel, shape.map);
  add_parameter("weight", weight, Role::weight, {4 * channels, in + channels, k.height, k.width}, device,
                init::xavier_uniform());
  add_parameter("bias", bias, Role::bias, {4 * channels}, device, init::constant(0.0f));
  if (extras.peepholes) {
    if (shape.map.height < 1 || shape.map.width < 1)
      reject<ValueError>("conv_lstm", "peepholes need the size of the map, got {}×{}", shape.map.height,
                         shape.map.width);
    const Shape each{channels, shape.map.height, shape.map.width};
    add_parameter("peephole_i", peephole_i, Role::scale, each, device, init::constant(0.0f));
    add_parameter("peephole_f", peephole_f, Role::scale, each, device, init::constant(0.0f));
    add_parameter("peephole_o", peephole_o, Role::scale, each, device, init::constant(0.0f));
  }
  if (extras.layer_norm) {
    add_parameter("norm_weight", norm_weight, Role::scale, {5 * channels}, device, init::constant(1.0f));
    add_parameter("norm_bias", norm_bias, Role::shift, {5 * channels}, device, init::constant(0.0f));
  }
}

std::vector<std::int64_t> ConvLSTM::state_channels(std::int64_t) const {
  return {bias.value.numel() / 4, bias.value.numel() / 4};
}

CellResult ConvLSTM::next(const CellInputs& inputs, const CellState& state) {
  const Var& x = inputs.x;
  const Var w = on_tape(weight, x), b = on_tape(bias, x);
  const ConvLstmState before{state.maps[0], state.maps[1]};
  ConvLstmState after;
  if (shape_.fused && !extras_.peepholes && !extras_.layer_norm) {
    after = conv_lstm_step(x, before, w, b, {.keep_gates = shape_.keep_gates});
  } else {
    ConvLstmExtras extras;
    if (extras_.peepholes) {
      extras.peephole_i = on_tape(peephole_i, x);
      extras.peephole_f = on_tape(peephole_f, x);
      extras.peephole_o = on_tape(peephole_o, x);
    }
    if (extras_.layer_norm) {
      const Var gamma = on_tape(norm_weight, x), beta = on_tape(norm_bias, x);
      const std::int64_t channels = gamma.shape()[0] / 5;
      for (std::int64_t k = 0; k < 5; ++k) {
        extras.gamma.push_back(slice(gamma, 0, k * channels, (k + 1) * channels));
        extras.beta.push_back(slice(beta, 0, k * channels, (k + 1) * channels));
      }
    }
    after = conv_lstm_composed(x, before, w, b, {}, extras);
  }
  return {after.h, {{after.h, after.c}}};
}

ConvGRU::ConvGRU(std::int64_t in, std::int64_t channels, const Device& device, ConvCellShape shape)
    : ConvCell("conv_gru"), shape_(shape) {
  const Size2d k = fit(shape.kernel, shape.map);
  add_parameter("gates_weight", gates_weight, Role::weight, {2 * channels, in + channels, k.height, k.width},
                device, init::xavier_uniform());
  add_parameter("gates_bias", gates_bias, Role::bias, {2 * channels}, device, init::constant(1.0f));
  add_parameter("candidate_weight", candidate_weight, Role::weight,
                {channels, in + channels, k.height, k.width}, device, init::xavier_uniform());
  add_parameter("candidate_bias", candidate_bias, Role::bias, {channels}, device, init::constant(0.0f));
}

CellResult ConvGRU::next(const CellInputs& inputs, const CellState& state) {
  const Var& x = inputs.x;
  const ConvGruWeights weights{on_tape(gates_weight, x), on_tape(gates_bias, x), on_tape(candidate_weight, x),
                               on_tape(candidate_bias, x)};
  const Var h = shape_.fused ? conv_gru_step(x, state.maps[0], weights, {.keep_gates = shape_.keep_gates})
                             : conv_gru_composed(x, state.maps[0], weights);
  return {h, {{h}}};
}

ConvUGRNN::ConvUGRNN(std::int64_t in, std::int64_t channels, const Device& device, ConvCellShape shape)
    : ConvCell("conv_ugrnn"), shape_(shape) {
  const Size2d k = fit(shape.kernel, shape.map);
  add_parameter("weight", weight, Role::weight, {2 * channels, in + channels, k.height, k.width}, device,
                init::xavier_uniform());
  add_parameter("bias", bias, Role::bias, {2 * channels}, device, init::constant(0.0f));
}

CellResult ConvUGRNN::next(const CellInputs& inputs, const CellState& state) {
  const Var &x = inputs.x, w = on_tape(weight, x), b = on_tape(bias, x);
  const Var h = shape_.fused ? conv_ugrnn_step(x, state.maps[0], w, b, {.keep_gates = shape_.keep_gates})
                             : conv_ugrnn_composed(x, state.maps[0], w, b);
  return {h, {{h}}};
}

IntersectionRNN::IntersectionRNN(std::int64_t channels, const Device& device, ConvCellShape shape)
    : ConvCell("intersection_rnn"), shape_(shape) {
  const Size2d k = fit(shape.kernel, shape.map);
  add_parameter("weight", weight, Role::weight, {4 * channels, 2 * channels, k.height, k.width}, device,
                init::xavier_uniform());
  add_parameter("bias", bias, Role::bias, {4 * channels}, device, init::constant(0.0f));
}

CellResult IntersectionRNN::next(const CellInputs& inputs, const CellState& state) {
  const Var &x = inputs.x, w = on_tape(weight, x), b = on_tape(bias, x);
  const auto result = shape_.fused
                          ? intersection_rnn_step(x, state.maps[0], w, b, {.keep_gates = shape_.keep_gates})
                          : intersection_rnn_composed(x, state.maps[0], w, b);
  return {result.y, {{result.h}}};
}

}  // namespace fovea::nn
