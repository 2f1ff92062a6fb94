// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <vector>

#include "autograd/ops/conv2d.h"
#include "autograd/ops/conv_rnn_gated.h"
#include "autograd/ops/conv_rnn_gru.h"
#include "autograd/ops/elementwise.h"

/// The recurrent cells of autograd/ops/conv_rnn_*.h as compositions of plain ops, line by line as their formulas stand:
/// what the fused steps are compared with, in value, gradient and memory.
namespace fovea {
namespace conv_rnn {

/// Extents from `from` to `to` of a dimension; as an op of its own, so that its slope is known.
inline Var part(const Var& x, int dim, std::int64_t from, std::int64_t to) {
  static constexpr OpInfo info{
      .name = "part", .signature = "x[n...] -> y[m...]", .gradient = "dx = dy, zeros around it"};
  if (from == 0 && to == x.shape()[dim]) return x;
  return record(info, slice(x.value(), dim, from, to).contiguous("part"), {x}, {},
                [=, shape = x.shape()](const Tensor& dy, Needs, Kept) -> Grads {
                  const Tensor dx = Tensor::zeros(shape, DType::f32, dy.device(), "part");
                  slice(dx, dim, from, to).copy_from(dy);
                  return {dx};
                });
}

/// w with zeros around it, so that equal padding on all sides is SAME padding.
inline Var odd_kernel(const Var& w) {
  static constexpr OpInfo info{
      .name = "odd_kernel", .signature = "x[n...] -> y[m...]", .gradient = "dx = dy without the zeros"};
  const std::int64_t rows = w.shape()[2], columns = w.shape()[3], down = rows % 2 == 0 ? 1 : 0,
                     across = columns % 2 == 0 ? 1 : 0;
  if (down + across == 0) return w;
  const auto inner = [=](const Tensor& x) {
    return slice(slice(x, 2, down, down + rows), 3, across, across + columns);
  };
  const Tensor y = Tensor::zeros({w.shape()[0], w.shape()[1], rows + down, columns + across}, DType::f32,
                                 w.device(), "odd_kernel");
  inner(y).copy_from(w.value());
  return record(info, y, {w}, {}, [inner](const Tensor& dy, Needs, Kept) -> Grads {
    return {inner(dy).contiguous("odd_kernel")};
  });
}

/// x ⋆ w + b with SAME padding. conv2d pads both dimensions alike, so the narrower one of a kernel grows to the other.
inline Var same_conv(const Var& x, const Var& w, const Var& b = {}) {
  const Var odd = odd_kernel(w);
  return conv2d(x, odd, b, {.padding = static_cast<int>(odd.shape()[2] / 2)});
}

/// Each channel with a kernel of its own, w [C, 1, R, R]: conv2d with zeros for all other pairs of channels.
inline Var depthwise_conv(const Var& x, const Var& w) {
  const std::int64_t channels = w.shape()[0];
  std::vector<float> eye(static_cast<std::size_t>(channels * channels), 0.0f);
  for (std::int64_t c = 0; c < channels; ++c) eye[static_cast<std::size_t>(c * channels + c)] = 1.0f;
  return same_conv(x, multiply(w, Tensor::from(eye, {channels, channels, 1, 1}, x.device())));
}

/// w ⋆ [x; h] + b, gate by gate.
inline std::vector<Var> composed_gates(const Var& x, const Var& h, const Var& w, const Var& b, int gates) {
  const std::int64_t in = x.shape()[1], out = w.shape()[0] / gates;
  std::vector<Var> maps;
  for (int g = 0; g < gates; ++g) {
    const Var rows = part(w, 0, g * out, (g + 1) * out);
    const Var bias = b.value().defined() ? part(b, 0, g * out, (g + 1) * out) : Var();
    maps.push_back(same_conv(x, part(rows, 1, 0, in), bias) +
                   same_conv(h, part(rows, 1, in, rows.shape()[1])));
  }
  return maps;
}
/// gate·old + (1 − gate)·new
inline Var composed_blend(const Var& gate, const Var& before, const Var& candidate) {
  return gate * before + (1.0 - gate) * candidate;
}

}  // namespace conv_rnn

/// time_decay_step of plain ops.
inline Var time_decay_composed(const Var& x, const Var& state, const Var& tau) { return tau * state + x; }

/// conv_simple_step of plain ops.
inline Var conv_simple_composed(const Var& x, const Var& h, const Var& w_x, const Var& w_h, const Var& b,
                                Function f = Function::elu) {
  const Var sum = conv_rnn::same_conv(x, w_x, b) + conv_rnn::same_conv(h, w_h);
  return f == Function::identity ? sum : apply(f, sum);
}

/// conv_lstm_step of plain ops.
inline ConvLstmState conv_lstm_composed(const Var& x, const ConvLstmState& state, const Var& w, const Var& b,
                                        const ConvLstmOptions& options = {}) {
  const auto gates = conv_rnn::composed_gates(x, state.h, w, b, 4);
  const Var c = state.c * sigmoid(gates[2] + static_cast<double>(options.forget_bias)) +
                sigmoid(gates[0]) * tanh(gates[1]);
  return {tanh(c) * sigmoid(gates[3]), c};
}

/// conv_gru_step of plain ops.
inline Var conv_gru_composed(const Var& x, const Var& h, const ConvGruWeights& weights) {
  const auto gates = conv_rnn::composed_gates(x, h, weights.gates, weights.gates_bias, 2);
  const Var reset = sigmoid(gates[0] + 1.0) * h;
  const Var candidate =
      tanh(conv_rnn::composed_gates(x, reset, weights.candidate, weights.candidate_bias, 1)[0]);
  return conv_rnn::composed_blend(sigmoid(gates[1]), h, candidate);
}

/// conv_ugrnn_step of plain ops.
inline Var conv_ugrnn_composed(const Var& x, const Var& h, const Var& w, const Var& b) {
  const auto gates = conv_rnn::composed_gates(x, h, w, b, 2);
  return conv_rnn::composed_blend(sigmoid(gates[0] + 1.0), h, tanh(gates[1]));
}

/// intersection_rnn_step of plain ops.
inline IntersectionRnnResult intersection_rnn_composed(const Var& x, const Var& h, const Var& w,
                                                       const Var& b) {
  const auto gates = conv_rnn::composed_gates(x, h, w, b, 4);
  return {conv_rnn::composed_blend(sigmoid(gates[2] + 1.0), x, relu(gates[3])),
          conv_rnn::composed_blend(sigmoid(gates[0] + 1.0), h, tanh(gates[1]))};
}

}  // namespace fovea
