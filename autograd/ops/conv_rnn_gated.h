// SPDX-License-Identifier: Apache-2.0
#pragma once

#include "autograd/op_info.h"
#include "autograd/ops/conv_rnn_links.h"
#include "kernels/ops/conv_terms.h"

/// Recurrent cells whose gates are one convolution of input and state: LSTM, UGRNN, IntersectionRNN. A step
/// is two launches, all gates and then all gate arithmetic, and one record that keeps inputs and states: at
/// most half the bytes of the composition, unless keep_gates asks for more. conv_rnn_composed.h has the same
/// of plain ops.
namespace fovea {

/// keep_gates  keeps the gates before their functions until backward, which then needs no convolution to have
///             them again: a third less arithmetic in backward for a map more of memory for each gate
struct ConvCellOptions {
  bool keep_gates = false;
};
struct ConvLstmOptions {
  float forget_bias = 1.0f;  ///< added to the forget gate, beside b
  bool keep_gates = false;
};
struct ConvLstmState {
  Var h, c;
};
struct IntersectionRnnResult {
  Var y;  ///< to the next layer
  Var h;  ///< to the next step
};

inline constexpr OpInfo conv_lstm_step_info{
    .name = "conv_lstm_step",
    .signature =
        "x[N, C, H, W] h[N, D, H, W] c[N, D, H, W] w[G, I, R, S] b[G]? -> y[N, D, H, W] z[N, D, H, W]",
    .flops = "2·N·H·W·G·I·R·S + 106·N·D·H·W",
    .bytes = "E·(N·H·W·(C + 4·D) + G·I·R·S + b·G)",
    .gradient =
        "dx and dh correlate the gates' slopes with w turned by 180°, dw correlates [x; h] "
        "with them; gates are computed again, their slopes and dc follow from dy and dz",
    .gradient_flops = "2·N·H·W·G·R·S·(I + dw·I + dx·C + dh·D) + 130·N·D·H·W",
    .keeps = "x h c w b gates"};
inline constexpr OpInfo conv_ugrnn_step_info{
    .name = "conv_ugrnn_step",
    .signature = "x[N, C, H, W] h[N, D, H, W] w[G, I, R, S] b[G]? -> y[N, D, H, W]",
    .flops = "2·N·H·W·G·I·R·S + 45·N·D·H·W",
    .bytes = "E·(N·H·W·(C + 2·D) + G·I·R·S + b·G)",
    .gradient =
        "dx and dh correlate the gates' slopes with w turned by 180°, dw correlates [x; h] "
        "with them; gates are computed again, their slopes follow from dy",
    .gradient_flops = "2·N·H·W·G·R·S·(I + dw·I + dx·C + dh·D) + 55·N·D·H·W",
    .keeps = "x h w b gates"};
inline constexpr OpInfo intersection_rnn_step_info{
    .name = "intersection_rnn_step",
    .signature = "x[N, C, H, W] h[N, C, H, W] w[G, I, R, S] b[G]? -> y[N, C, H, W] z[N, C, H, W]",
    .flops = "2·N·H·W·G·I·R·S + 70·N·C·H·W",
    .bytes = "E·(N·H·W·4·C + G·I·R·S + b·G)",
    .gradient =
        "dx and dh correlate the gates' slopes with w turned by 180°, dw correlates [x; h] "
        "with them; gates are computed again, their slopes follow from dy and dz",
    .gradient_flops = "2·N·H·W·G·R·S·(I + dw·I + dx·C + dh·C) + 90·N·C·H·W",
    .keeps = "x h w b gates"};

namespace conv_rnn {

/// A cell with one kernel, in numbers. Operands: x, h, c if there is one, w, b.
struct OneKernelCell {
  const char* op;
  CellKind kind;
  int gates, states;  // states: 2 if there is a c
  bool passes_x;      // the second result is made of x
  float shift;
  std::int64_t in_channels, channels;  // of x and h

  int weight() const { return 1 + states; }
  Links links() const {
    Links all;
    const int slab = all.add_slab(gates * channels, weight() + 1);
    all.add({.source = 0, .weight = weight(), .slab = slab});
    all.add({.source = 1, .weight = weight(), .slab = slab, .first_in = in_channels});
    return all;
  }
  CellUpdate update(Kept operands, const Tensor& gate_map) const {
    const std::int64_t size = channels * gate_map.size(2) * gate_map.size(3);
    CellUpdate cell{.kind = kind, .batch = gate_map.size(0), .parts = passes_x ? 2 : 1, .part = {}};
    for (int p = 0; p < cell.parts; ++p) {
      CellPart& part = cell.part[p];
      part.rule.f = p == 0 ? Function::tanh : Function::relu;
      part.rule.shift = shift;
      part.size = size;
      part.in[0] = operands[kind == CellKind::lstm ? 2 : p == 0 ? 1 : 0].data();
      for (int k = 0; k < gates / cell.parts; ++k) {
        part.gate[k] = gate_map.data() + (p * gates / cell.parts + k) * size;
        part.gate_stride[k] = gates * size;
      }
    }
    return cell;
  }
};

/// [h', c'], [h'] or [h', y].
inline Maps one_kernel_step(const OneKernelCell& cell, Kept operands, const Tensor& gate_map) {
  Maps results;
  CellUpdate update = cell.update(operands, gate_map);
  for (int k = 0; k < (cell.kind == CellKind::lstm ? 2 : update.parts); ++k) {
    results.push_back(map_like(cell.op, gate_map, cell.channels));
    (cell.kind == CellKind::lstm ? update.part[0].out[k] : update.part[k].out[0]) = results.back().data();
  }
  on(gate_map.queue(), [&](auto& q) { kernels::cell_update(q, update); });
  return results;
}

inline Grads one_kernel_slopes(const OneKernelCell& cell, const Grads& dys, Needs needs, Kept kept) {
  const int count = cell.weight() + 2;
  const Kept operands = kept.first(static_cast<std::size_t>(count));
  const Links links = cell.links();
  const Tensor gate_map =
      kept[count].defined() ? kept[count]
                            : slabs_of(cell.op, links, operands, depthwise_maps(cell.op, links, operands))[0];
  const CellUpdate update = cell.update(operands, gate_map);
  const Tensor dgates = Tensor::empty_like(gate_map, cell.op);
  Grads d(static_cast<std::size_t>(count)), slopes;
  for (const Tensor& dy : dys) slopes.push_back(dy.defined() ? dy.contiguous(cell.op) : Tensor());
  CellSlopes parts;
  for (int p = 0; p < update.parts; ++p) {
    parts.part[p].dout[0] = data_or_null(slopes[p]);
    if (cell.kind == CellKind::lstm) parts.part[p].dout[1] = data_or_null(slopes[1]);
    for (int k = 0; k < cell.gates / update.parts; ++k)
      parts.part[p].dgate[k] = dgates.data() + (update.part[p].gate[k] - gate_map.data());
    const int source = cell.kind == CellKind::lstm ? 2 : p == 0 ? 1 : 0;
    if (!needs[source]) continue;
    d[source] = map_like(cell.op, gate_map, cell.channels);
    parts.part[p].din[0] = d[source].data();
  }
  on(gate_map.queue(), [&](auto& q) { kernels::cell_update_grad(q, update, parts); });
  link_slopes(cell.op, links, operands, Maps(2), {dgates}, wanted(needs, count), d);
  return d;
}

/// Checks, computes and records a step of such a cell; `state` is h, or h and c.
inline std::vector<Var> one_kernel_cell(const OpInfo& info, CellKind kind, int gates, bool passes_x,
                                        float shift, bool keep_gates, const Var& x,
                                        std::initializer_list<Var> state, const Var& w, const Var& b) {
  const char* const op = info.name;
  check_first_map(op, x);
  std::vector<Var> inputs{x};
  inputs.insert(inputs.end(), state.begin(), state.end());
  check_map(op, "h", inputs[1], x, passes_x ? x.shape()[1] : -1);
  const OneKernelCell cell{op,       kind,  gates,        static_cast<int>(state.size()),
                           passes_x, shift, x.shape()[1], inputs[1].shape()[1]};
  if (cell.states == 2) check_map(op, "c", inputs[2], x, cell.channels);
  check_kernel(op, "w", w, x, gates * cell.channels, cell.in_channels + cell.channels);
  check_bias(op, "b", b, x, gates * cell.channels);
  inputs.push_back(w);
  inputs.push_back(b);
  Maps kept = values_of(op, inputs);
  const Links links = cell.links();
  const Tensor gate_map = slabs_of(op, links, kept, Maps(2))[0];
  const Maps results = one_kernel_step(cell, kept, gate_map);
  kept.push_back(keep_gates ? gate_map : Tensor());
  return record_step(info, results, inputs, std::move(kept),
                     [cell](const Grads& dys, Needs needs, Kept all) -> Grads {
                       return one_kernel_slopes(cell, dys, needs, all);
                     });
}

}  // namespace conv_rnn

/// One step of a convolutional LSTM, without peepholes: two launches.
///
/// formula  [i; j; f; o] = w ⋆ [x; h] + b, c' = c·σ(f + forget_bias) + σ(i)·tanh(j), h' = tanh(c')·σ(o)
/// x        [N, C, H, W] f32
/// state    h and c, both [N, D, H, W] f32
/// w        [4·D, C + D, R, S] f32: i, j, f, o in this order, x before h; stride 1, SAME padding
/// b        [4·D] f32, or Var() for none
/// options  forget_bias; keep_gates: whether the gates stay for backward or are computed again
/// returns  h' and c', both [N, D, H, W]
/// keeps    x, h, c, w, b; gates [N, 4·D, H, W] only if asked for. The gates' slopes follow from dh' and dc',
///          and are correlated with w (dx, dh) and with x and h (dw)
/// throws   ShapeError, DTypeError, DeviceError; each names the operand
/// order    terms, channels and taps in a fixed nesting given by the shape; each gate by itself
/// source   Shi et al. 2015, Convolutional LSTM network; order of gates and forget bias as in TensorFlow's
///          cell
inline ConvLstmState conv_lstm_step(const Var& x, const ConvLstmState& state, const Var& w, const Var& b,
                                    const ConvLstmOptions& options = {}) {
  const auto results =
      conv_rnn::one_kernel_cell(conv_lstm_step_info, CellKind::lstm, 4, false, options.forget_bias,
                                options.keep_gates, x, {state.h, state.c}, w, b);
  return {results[0], results[1]};
}

/// One step of the update gate recurrent network, convolutional: two launches. See conv_lstm_step.
///
/// formula  [g; q] = w ⋆ [x; h] + b, G = σ(g + 1), h' = G·h + (1 − G)·tanh(q)
/// h        [N, D, H, W] f32
/// w        [2·D, C + D, R, S] f32: g, q in this order, x before h; stride 1, SAME padding
/// b        [2·D] f32, or Var() for none
/// options  keep_gates: whether the gates stay for backward or are computed again
/// returns  h' [N, D, H, W], which is the output, too
/// keeps    x, h, w, b; gates [N, 2·D, H, W] only if asked for
/// source   Collins, Sohl-Dickstein, Sussillo 2017, Capacity and trainability in recurrent neural networks
inline Var conv_ugrnn_step(const Var& x, const Var& h, const Var& w, const Var& b,
                           const ConvCellOptions& options = {}) {
  return conv_rnn::one_kernel_cell(conv_ugrnn_step_info, CellKind::blend, 2, false, 1.0f, options.keep_gates,
                                   x, {h}, w, b)[0];
}

/// One step of the intersection RNN, convolutional: gated through time (h') and, past its own candidate,
/// through depth (y): two launches. See conv_lstm_step.
///
/// formula  [g; q; g'; q'] = w ⋆ [x; h] + b, G = σ(g + 1), G' = σ(g' + 1), h' = G·h + (1 − G)·tanh(q),
///          y = G'·x + (1 − G')·relu(q')
/// h        [N, C, H, W] f32, as many channels as x
/// w        [4·C, 2·C, R, S] f32: g, q, g', q' in this order, x before h; stride 1, SAME padding
/// b        [4·C] f32, or Var() for none
/// options  keep_gates: whether the gates stay for backward or are computed again
/// returns  y and h', both [N, C, H, W]
/// keeps    x, h, w, b; gates [N, 4·C, H, W] only if asked for
/// source   Collins, Sohl-Dickstein, Sussillo 2017, Capacity and trainability in recurrent neural networks
inline IntersectionRnnResult intersection_rnn_step(const Var& x, const Var& h, const Var& w, const Var& b,
                                                   const ConvCellOptions& options = {}) {
  const auto results = conv_rnn::one_kernel_cell(intersection_rnn_step_info, CellKind::blend, 4, true, 1.0f,
                                                 options.keep_gates, x, {h}, w, b);
  return {results[1], results[0]};
}

}  // namespace fovea
