// SPDX-License-Identifier: Apache-2.0
#pragma once

#include "autograd/op_info.h"
#include "autograd/ops/conv_rnn_gated.h"
#include "kernels/ops/conv_terms.h"

namespace fovea {

/// The gates' and the candidate's kernels of a GRU.
struct ConvGruWeights {
  Var gates = {};           ///< [2·D, C + D, R, S]: r, u; x before h
  Var gates_bias = {};      ///< [2·D], or Var() for none
  Var candidate = {};       ///< [D, C + D, R', S']: x before r·h
  Var candidate_bias = {};  ///< [D], or Var() for none
};

inline constexpr OpInfo conv_gru_step_info{
    .name = "conv_gru_step",
    .signature =
        "x[N, C, H, W] h[N, D, H, W] gates[G, I, R, S] gates_bias[G]? candidate[D, I, K, L] "
        "candidate_bias[D]? "
        "-> y[N, D, H, W]",
    .flops = "2·N·H·W·I·(G·R·S + D·K·L) + 65·N·D·H·W",
    .bytes = "E·(N·H·W·(C + 2·D) + G·I·R·S + gates_bias·G + D·I·K·L + candidate_bias·D)",
    .gradient =
        "dx and dh correlate the gates' slopes with both kernels turned by 180°, dgates and "
        "dcandidate correlate inputs with them; gates are computed again, their slopes follow "
        "from dy",
    .gradient_flops =
        "2·N·H·W·((G·R·S + D·K·L)·(I + dx·C) + G·R·S·(dgates·I + dh·D) + D·K·L·(dcandidate·I + D)) + "
        "80·N·D·H·W",
    .keeps = "x h gates gates_bias candidate candidate_bias gate_maps reset candidate_map"};

namespace conv_rnn {

/// Operands x, h, gates, gates_bias, candidate, candidate_bias, and behind them the reset state r·h as a
/// further map.
struct GruCell {
  static constexpr int kOperands = 6, kReset = 6;
  std::int64_t in_channels, channels;

  Links gate_links() const {
    Links all;
    const int slab = all.add_slab(2 * channels, 3);
    all.add({.source = 0, .weight = 2, .slab = slab});
    all.add({.source = 1, .weight = 2, .slab = slab, .first_in = in_channels});
    return all;
  }
  Links candidate_links() const {
    Links all;
    const int slab = all.add_slab(channels, 5);
    all.add({.source = 0, .weight = 4, .slab = slab});
    all.add({.source = kReset, .weight = 4, .slab = slab, .first_in = in_channels});
    return all;
  }
  /// r·h from the gate map.
  CellUpdate reset(const Tensor& h, const Tensor& gate_map, const Tensor& y) const {
    CellUpdate cell = part_of(CellKind::reset, h, y);
    set_gate(cell, 0, gate_map.data(), 2);
    cell.part[0].rule.shift = 1.0f;
    return cell;
  }
  /// h' from u, a map of its own (maps = 1) or the second half of the gate map (2), and the candidate.
  CellUpdate blend(const Tensor& h, const float* u, int maps, const Tensor& candidate,
                   const Tensor& y) const {
    CellUpdate cell = part_of(CellKind::blend, h, y);
    set_gate(cell, 0, u, maps);
    set_gate(cell, 1, candidate.data(), 1);
    cell.part[0].rule.f = Function::tanh;
    return cell;
  }

 private:
  CellUpdate part_of(CellKind kind, const Tensor& h, const Tensor& y) const {
    CellUpdate cell{.kind = kind, .batch = h.size(0), .parts = 1, .part = {}};
    cell.part[0].size = channels * h.size(2) * h.size(3);
    cell.part[0].in[0] = h.data();
    cell.part[0].out[0] = data_or_null(y);
    return cell;
  }
  static void set_gate(CellUpdate& cell, int k, const float* gate, int maps) {
    cell.part[0].gate[k] = gate;
    cell.part[0].gate_stride[k] = maps * cell.part[0].size;
  }
};

inline void run(const Queue& queue, const CellUpdate& cell) {
  on(queue, [&](auto& q) { kernels::cell_update(q, cell); });
}

/// The gate map, r·h and the candidate map, as backward reads them.
struct GruMaps {
  Tensor gates, reset, candidate;
};
inline GruMaps gru_maps(const char* op, const GruCell& cell, Kept operands) {
  GruMaps maps;
  maps.gates = slabs_of(op, cell.gate_links(), operands, Maps(2))[0];
  maps.reset = map_like(op, operands[1], cell.channels);
  run(maps.reset.queue(), cell.reset(operands[1], maps.gates, maps.reset));
  Maps all(operands.begin(), operands.end());
  all.push_back(maps.reset);
  maps.candidate = slabs_of(op, cell.candidate_links(), all, Maps(2))[0];
  return maps;
}

inline Grads gru_slopes(const char* op, const GruCell& cell, const Tensor& slope, Needs needs, Kept kept) {
  const Kept operands = kept.first(GruCell::kOperands);
  const Tensor dy = slope.contiguous(op), &h = operands[1];
  const GruMaps maps = kept[6].defined() ? GruMaps{kept[6], kept[7], kept[8]} : gru_maps(op, cell, operands);
  const std::int64_t half = cell.channels * h.size(2) * h.size(3);
  const Tensor dgates = Tensor::empty_like(maps.gates, op),
               dcandidate = Tensor::empty_like(maps.candidate, op);
  Grads d(GruCell::kOperands + 1);
  d[1] = Tensor::empty_like(h, op);
  const auto grad = [&](const CellUpdate& update, const CellSlopes::Part& slopes) {
    on(dy.queue(), [&](auto& q) { kernels::cell_update_grad(q, update, {.part = {slopes, {}}}); });
  };
  grad(cell.blend(h, maps.gates.data() + half, 2, maps.candidate, {}),
       {.dout = {dy.data()}, .dgate = {dgates.data() + half, dcandidate.data()}, .din = {d[1].data()}});

  Maps all(operands.begin(), operands.end());
  all.push_back(maps.reset);
  std::vector<bool> wants = wanted(needs, GruCell::kOperands);
  wants.push_back(true);
  link_slopes(op, cell.candidate_links(), all, Maps(2), {dcandidate}, wants, d);

  const Tensor through_reset = Tensor::empty_like(h, op);
  grad(cell.reset(h, maps.gates, {}),
       {.dout = {d[GruCell::kReset].data()}, .dgate = {dgates.data()}, .din = {through_reset.data()}});
  accumulate(through_reset, d[1]);
  link_slopes(op, cell.gate_links(), operands, Maps(2), {dgates}, wanted(needs, GruCell::kOperands), d);
  d.resize(GruCell::kOperands);
  return d;
}

}  // namespace conv_rnn

/// One step of a convolutional GRU: three launches (r·h and u, the candidate, h'). With keep_gates four: r and
/// r·h are both to stay, and one convolution writes one of them, so that the product is a launch of its own.
/// See conv_lstm_step.
///
/// formula  [r; u] = gates ⋆ [x; h] + gates_bias, R = σ(r + 1), U = σ(u), q = candidate ⋆ [x; R·h] +
///          candidate_bias, h' = U·h + (1 − U)·tanh(q)
/// h        [N, D, H, W] f32
/// weights  gates [2·D, C + D, R, S] with bias [2·D], candidate [D, C + D, R', S'] with bias [D], f32; stride
///          1, SAME padding
/// options  keep_gates: whether gates and candidate stay for backward or are computed again
/// returns  h' [N, D, H, W], which is the output, too
/// keeps    x, h and all weights; only if asked for: gate_maps [N, 2·D, H, W], reset (R·h) and candidate_map,
///          both [N, D, H, W]
/// source   Cho et al. 2014, Learning phrase representations; Ballas et al. 2016, Delving deeper into
///          convolutional networks (with convolutions). The 1 in R is an extra bias of the released
///          ventral-stream models
inline Var conv_gru_step(const Var& x, const Var& h, const ConvGruWeights& weights,
                         const ConvCellOptions& options = {}) {
  constexpr const char* op = "conv_gru_step";
  using namespace conv_rnn;
  check_first_map(op, x);
  check_map(op, "h", h, x);
  const GruCell cell{x.shape()[1], h.shape()[1]};
  check_kernel(op, "gates", weights.gates, x, 2 * cell.channels, cell.in_channels + cell.channels);
  check_bias(op, "gates_bias", weights.gates_bias, x, 2 * cell.channels);
  check_kernel(op, "candidate", weights.candidate, x, cell.channels, cell.in_channels + cell.channels);
  check_bias(op, "candidate_bias", weights.candidate_bias, x, cell.channels);
  const std::vector<Var> inputs{
      x, h, weights.gates, weights.gates_bias, weights.candidate, weights.candidate_bias};
  Maps kept = values_of(op, inputs);
  const Tensor y = map_like(op, kept[1], cell.channels);
  GruMaps maps;
  if (options.keep_gates) {
    maps = gru_maps(op, cell, kept);
    const float* u = maps.gates.data() + cell.channels * y.size(2) * y.size(3);
    run(y.queue(), cell.blend(kept[1], u, 2, maps.candidate, y));
  } else {
    // R·h leaves the first launch in the place of r.
    Maps all = kept;
    all.push_back(map_like(op, y, cell.channels));
    const Tensor u = map_like(op, y, cell.channels);
    Plan plan(y);
    for (const std::int64_t first_out : {std::int64_t{0}, cell.channels}) {
      ConvSlab& slab = plan.slab(first_out == 0 ? all.back() : u);
      if (kept[3].defined()) slab.bias = kept[3].data() + first_out;
      if (first_out == 0) {
        slab.f = Function::sigmoid;
        slab.shift = 1.0f;
        slab.times = kept[1].data();
      }
      plan.term(forward_term(kept[0], kept[2], first_out, 0));
      plan.term(forward_term(kept[1], kept[2], first_out, cell.in_channels));
    }
    plan.run(y.queue());
    const Tensor candidate = slabs_of(op, cell.candidate_links(), all, Maps(2))[0];
    run(y.queue(), cell.blend(kept[1], u.data(), 1, candidate, y));
  }
  kept.insert(kept.end(), {maps.gates, maps.reset, maps.candidate});
  return record_step(conv_gru_step_info, {y}, inputs, std::move(kept),
                     [cell](const Grads& dys, Needs needs, Kept all) -> Grads {
                       return gru_slopes(op, cell, dys[0], needs, all);
                     })[0];
}

}  // namespace fovea
