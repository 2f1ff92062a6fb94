// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <vector>

#include "autograd/ops/conv2d.h"
#include "autograd/ops/conv_rnn_gated.h"
#include "autograd/ops/conv_rnn_gru.h"
#include "autograd/ops/conv_rnn_reciprocal.h"
#include "autograd/ops/elementwise.h"
#include "autograd/ops/group_norm.h"
#include "autograd/ops/join.h"
#include "autograd/ops/reshape.h"

/// The recurrent cells of autograd/ops/conv_rnn_*.h as compositions of plain ops, line by line as their
/// formulas stand: what the fused steps are compared with, in value, gradient and memory.
namespace fovea {
namespace conv_rnn {

/// x ⋆ w + b with SAME padding.
inline Var same_conv(const Var& x, const Var& w, const Var& b = {}, std::int64_t groups = 1) {
  const Padding2d padding = same_padding({x.shape()[2], x.shape()[3]}, {w.shape()[2], w.shape()[3]});
  return conv2d(x, w, b, {.padding = padding, .groups = groups});
}

/// x ⋆ depthwise ⋆ weight + b, without the first if there is none.
inline Var same_conv(const Var& x, const ReciprocalKernel& kernel, const Var& b = {}) {
  const bool separable = kernel.depthwise.value().defined();
  return same_conv(separable ? same_conv(x, kernel.depthwise, {}, x.shape()[1]) : x, kernel.weight, b);
}

/// w ⋆ [x; h] + b, gate by gate.
inline std::vector<Var> composed_gates(const Var& x, const Var& h, const Var& w, const Var& b, int gates) {
  const std::int64_t in = x.shape()[1], out = w.shape()[0] / gates;
  std::vector<Var> maps;
  for (int g = 0; g < gates; ++g) {
    const Var rows = slice(w, 0, g * out, (g + 1) * out);
    const Var bias = b.value().defined() ? slice(b, 0, g * out, (g + 1) * out) : Var();
    maps.push_back(same_conv(x, slice(rows, 1, 0, in), bias) +
                   same_conv(h, slice(rows, 1, in, rows.shape()[1])));
  }
  return maps;
}
/// gate·old + (1 − gate)·new
inline Var composed_blend(const Var& gate, const Var& before, const Var& candidate) {
  return gate * before + (1.0 - gate) * candidate;
}
inline Var composed_function(Function f, const Var& x) { return f == Function::identity ? x : apply(f, x); }

}  // namespace conv_rnn

/// time_decay_step of plain ops.
inline Var time_decay_composed(const Var& x, const Var& state, const Var& tau) { return tau * state + x; }

/// The layer norm of the released cells: statistics over the channels and positions of a sample, scale and
/// shift by channel.
inline Var map_norm(const Var& x, const Var& gamma, const Var& beta) {
  return group_norm(x, gamma, beta, 1, 1e-12f);
}

/// conv_simple_step of plain ops.
inline Var conv_simple_composed(const Var& x, const Var& h, const Var& w_x, const Var& w_h, const Var& b,
                                Function f = Function::elu) {
  return conv_rnn::composed_function(f, conv_rnn::same_conv(x, w_x, b) + conv_rnn::same_conv(h, w_h));
}

/// What an LSTM may have beside its kernel, and the fused step has not; Var() where it does not.
///
/// peephole_i, peephole_f, peephole_o  [D, H, W]: times the old c, added to their gates
/// gamma, beta                         [D] each, of i, j, f, o and c' in this order: map_norm() before the
///                                     functions
struct ConvLstmExtras {
  Var peephole_i = {}, peephole_f = {}, peephole_o = {};
  std::vector<Var> gamma = {}, beta = {};
};

/// conv_lstm_step of plain ops, with peepholes and layer norm.
inline ConvLstmState conv_lstm_composed(const Var& x, const ConvLstmState& state, const Var& w, const Var& b,
                                        const ConvLstmOptions& options = {},
                                        const ConvLstmExtras& extras = {}) {
  auto gates = conv_rnn::composed_gates(x, state.h, w, b, 4);
  const auto norm = [&](std::size_t k, const Var& map) {
    return extras.gamma.empty() ? map : map_norm(map, extras.gamma[k], extras.beta[k]);
  };
  const Var* const peepholes[] = {&extras.peephole_i, nullptr, &extras.peephole_f, &extras.peephole_o};
  for (std::size_t k = 0; k < 4; ++k) {
    gates[k] = norm(k, gates[k]);
    if (peepholes[k] != nullptr && peepholes[k]->value().defined())
      gates[k] = gates[k] + *peepholes[k] * state.c;
  }
  const Var c = norm(4, state.c * sigmoid(gates[2] + static_cast<double>(options.forget_bias)) +
                            sigmoid(gates[0]) * tanh(gates[1]));
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

/// Scales and shifts of a layer norm before φ_c and φ_h, [C] and [D], which the fused step has not; Var() for
/// none.
struct ReciprocalNorms {
  Var c_gamma = {}, c_beta = {}, h_gamma = {}, h_beta = {};
};

/// reciprocal_gated_step of plain ops, with layer norm.
inline ReciprocalState reciprocal_gated_composed(const ReciprocalInputs& inputs, const ReciprocalState& state,
                                                 const ReciprocalWeights& weights,
                                                 const ReciprocalOptions& options = {},
                                                 const ReciprocalNorms& norms = {}) {
  using namespace conv_rnn;
  check_reciprocal("reciprocal_gated_composed", inputs, state, weights, options);
  const Var* const maps[] = {&inputs.x, &inputs.residual, &inputs.feedback, &state.c, &state.h};
  const auto plus = [](const Var& a, const Var& b) {
    return !a.value().defined() ? b : b.value().defined() ? a + b : a;
  };
  const auto slab_of = [&](int slab) {
    Var sum, bias = weights.*kReciprocalBiases[slab].bias;
    for (const ReciprocalLink& link : kReciprocalLinks) {
      const ReciprocalKernel& kernel = weights.*link.kernel;
      if (link.slab != slab || !kernel.weight.value().defined()) continue;
      sum = plus(sum, same_conv(*maps[link.source], kernel, bias));
      bias = Var();
    }
    return sum;
  };
  const auto new_state = [&](int first_slab, const Var& old, Function f, bool takes_x, bool takes_residual,
                             const Var& gamma, const Var& beta) {
    const auto part = [&](int slab, Function function, float offset, float scale, const Var& of) {
      const Var sum = slab_of(slab);
      const double plain = static_cast<double>(offset), by = static_cast<double>(scale);
      if (sum.value().defined()) return (composed_function(function, sum) * by + plain) * of;
      return of * (plain + by * (function == Function::sigmoid ? 0.5 : 0.0));
    };
    Var source = slab_of(first_slab + 2);
    if (options.feedback_to_c == (first_slab == kDecayC))
      if (const Var sum = slab_of(kFeedback); sum.value().defined())
        source = plus(source, composed_function(options.feedback, sum));
    if (takes_x) source = plus(source, inputs.x);
    if (takes_residual) source = plus(source, inputs.residual);
    Var sum = part(first_slab, options.decay, options.decay_offset, options.decay_scale, old);
    if (source.value().defined())
      sum = sum + part(first_slab + 1, options.gate, options.gate_offset, options.gate_scale, source);
    if (gamma.value().defined()) sum = map_norm(sum, gamma, beta);
    return composed_function(f, sum);
  };
  return {state.c.shape()[1] == 0 ? state.c
                                  : new_state(kDecayC, state.c, options.cell, options.x_into_c, false,
                                              norms.c_gamma, norms.c_beta),
          new_state(kDecayH, state.h, options.output, options.x_into_h, options.residual_into_h,
                    norms.h_gamma, norms.h_beta)};
}

}  // namespace fovea
