// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <iterator>
#include <string>
#include <utility>

#include "autograd/op_info.h"
#include "autograd/ops/conv_rnn_links.h"
#include "kernels/ops/conv_terms.h"

/// The reciprocal gated cell of the ventral-stream models, in all its forms: which convolutions it has is
/// told by the kernels that are given. conv_rnn_composed.h has the same of plain ops.
namespace fovea {

/// What comes into a step.
struct ReciprocalInputs {
  Var x = {};         ///< [N, X, H, W]: the node's input after its own convolution
  Var residual = {};  ///< [N, Q, H, W]: the node's input as it is, or Var()
  Var feedback = {};  ///< [N, F, H, W]: from later layers, on this map, or Var()
};
struct ReciprocalState {
  Var c = {};  ///< [N, C, H, W]: the cell; C = 0 for a cell of one state
  Var h = {};  ///< [N, D, H, W]: the output
};

/// A convolution of a cell: its kernel, and one that comes right before it; Var() for none.
struct ReciprocalKernel {
  Var weight = {};     ///< [O, I, R, S]
  Var depthwise = {};  ///< [I, 1, R, S], a kernel for each channel; `weight` is then usually 1×1
  ReciprocalKernel() = default;
  ReciprocalKernel(Var w, Var before = {}) : weight(std::move(w)), depthwise(std::move(before)) {}
};

/// Kernels by what they read and what they are added to; Var() for a convolution that the cell does not have.
struct ReciprocalWeights {
  ReciprocalKernel c_to_c_decay = {}, x_to_c_decay = {}, residual_to_c_decay = {};  ///< τ_c: O = C
  ReciprocalKernel h_to_c_gate = {}, x_to_c_gate = {}, residual_to_c_gate = {};     ///< γ_c: O = C
  ReciprocalKernel x_to_c = {}, residual_to_c = {};                                 ///< s_c: O = C
  ReciprocalKernel h_to_h_decay = {}, x_to_h_decay = {}, residual_to_h_decay = {};  ///< τ_h: O = D
  ReciprocalKernel c_to_h_gate = {}, x_to_h_gate = {}, residual_to_h_gate = {};     ///< γ_h: O = D
  ReciprocalKernel x_to_h = {}, c_to_h = {}, residual_to_h = {};                    ///< s_h: O = D
  ReciprocalKernel feedback = {};                        ///< O = D, or C if feedback_to_c
  Var c_decay_bias = {}, c_gate_bias = {}, c_bias = {};  ///< [C]
  Var h_decay_bias = {}, h_gate_bias = {}, h_bias = {};  ///< [D]
  Var feedback_bias = {};                                ///< [D], or [C] if feedback_to_c
};

/// Functions, and what else enters the states. The factors of old state and source are offset +
/// scale·function.
struct ReciprocalOptions {
  Function decay = Function::sigmoid, gate = Function::sigmoid;  ///< φ_τ, φ_γ
  Function cell = Function::elu, output = Function::elu;         ///< φ_c, φ_h
  Function feedback = Function::identity;                        ///< φ_fb
  float decay_offset = 1.0f, decay_scale = -1.0f;                ///< o_τ, m_τ
  float gate_offset = 1.0f, gate_scale = -1.0f;                  ///< o_γ, m_γ
  bool x_into_c = false;                                         ///< x itself is added to s_c (X = C)
  bool x_into_h = true;                                          ///< x itself is added to s_h (X = D)
  bool residual_into_h = false;  ///< the residual itself is added to s_h (Q = D)
  bool feedback_to_c = false;    ///< feedback enters s_c, not s_h
  bool keep_gates = false;       ///< slabs stay for backward instead of being computed again
};

inline constexpr OpInfo reciprocal_gated_step_info{
    .name = "reciprocal_gated_step",
    .signature =
        "x[N, X, H, W] residual[N, Q, H, W]? feedback_map[N, F, H, W]? c[N, C, H, W] h[N, D, H, W] "
        "c_to_c_decay[k0...]? x_to_c_decay[k1...]? residual_to_c_decay[k2...]? h_to_c_gate[k3...]? "
        "x_to_c_gate[k4...]? residual_to_c_gate[k5...]? x_to_c[k6...]? residual_to_c[k7...]? "
        "h_to_h_decay[k8...]? x_to_h_decay[k9...]? residual_to_h_decay[k10...]? c_to_h_gate[k11...]? "
        "x_to_h_gate[k12...]? residual_to_h_gate[k13...]? x_to_h[k14...]? c_to_h[k15...]? "
        "residual_to_h[k16...]? feedback[k17...]? depthwise_c_to_c_decay[k18...]? "
        "depthwise_x_to_c_decay[k19...]? depthwise_residual_to_c_decay[k20...]? "
        "depthwise_h_to_c_gate[k21...]? depthwise_x_to_c_gate[k22...]? "
        "depthwise_residual_to_c_gate[k23...]? depthwise_x_to_c[k24...]? "
        "depthwise_residual_to_c[k25...]? depthwise_h_to_h_decay[k26...]? "
        "depthwise_x_to_h_decay[k27...]? depthwise_residual_to_h_decay[k28...]? "
        "depthwise_c_to_h_gate[k29...]? depthwise_x_to_h_gate[k30...]? "
        "depthwise_residual_to_h_gate[k31...]? depthwise_x_to_h[k32...]? depthwise_c_to_h[k33...]? "
        "depthwise_residual_to_h[k34...]? depthwise_feedback[k35...]? c_decay_bias[C]? c_gate_bias[C]? "
        "c_bias[C]? h_decay_bias[D]? h_gate_bias[D]? h_bias[D]? feedback_bias[b]? -> y[N, C, H, W] z[N, "
        "D, H, W]",
    .flops =
        "2·N·H·W·(k0 + k1 + k2 + k3 + k4 + k5 + k6 + k7 + k8 + k9 + k10 + k11 + k12 + k13 + k14 + k15 + "
        "k16 + k17 + k18 + k19 + k20 + k21 + k22 + k23 + k24 + k25 + k26 + k27 + k28 + k29 + k30 + k31 + "
        "k32 + k33 + k34 + k35) + 70·N·H·W·(C + D)",
    .bytes =
        "E·(N·H·W·(X + Q + F + 2·C + 2·D) + k0 + k1 + k2 + k3 + k4 + k5 + k6 + k7 + k8 + k9 + k10 + k11 "
        "+ k12 + k13 + k14 + k15 + k16 + k17 + k18 + k19 + k20 + k21 + k22 + k23 + k24 + k25 + k26 + k27 "
        "+ k28 + k29 + k30 + k31 + k32 + k33 + k34 + k35)",
    .gradient =
        "dx, dc and dh correlate the gates' slopes with the kernels turned by 180°, and each kernel's slope "
        "correlates its input with them; gates are computed again, their slopes follow from dy and dz",
    .gradient_flops =
        "6·N·H·W·(k0 + k1 + k2 + k3 + k4 + k5 + k6 + k7 + k8 + k9 + k10 + k11 + k12 + k13 + k14 + k15 + "
        "k16 + k17 + k18 + k19 + k20 + k21 + k22 + k23 + k24 + k25 + k26 + k27 + k28 + k29 + k30 + k31 + "
        "k32 + k33 + k34 + k35) + 90·N·H·W·(C + D)",
    .keeps =
        "x residual feedback_map c h c_to_c_decay x_to_c_decay residual_to_c_decay h_to_c_gate "
        "x_to_c_gate residual_to_c_gate x_to_c residual_to_c h_to_h_decay x_to_h_decay "
        "residual_to_h_decay c_to_h_gate x_to_h_gate residual_to_h_gate x_to_h c_to_h residual_to_h "
        "feedback depthwise_c_to_c_decay depthwise_x_to_c_decay depthwise_residual_to_c_decay "
        "depthwise_h_to_c_gate depthwise_x_to_c_gate depthwise_residual_to_c_gate depthwise_x_to_c "
        "depthwise_residual_to_c depthwise_h_to_h_decay depthwise_x_to_h_decay "
        "depthwise_residual_to_h_decay depthwise_c_to_h_gate depthwise_x_to_h_gate "
        "depthwise_residual_to_h_gate depthwise_x_to_h depthwise_c_to_h depthwise_residual_to_h "
        "depthwise_feedback c_decay_bias c_gate_bias c_bias h_decay_bias h_gate_bias h_bias "
        "feedback_bias c_decay_map c_gate_map c_map h_decay_map h_gate_map h_map feedback_result"};

namespace conv_rnn {

/// Slabs in their order, and the maps by their operand numbers.
enum ReciprocalSlab { kDecayC, kGateC, kSourceC, kDecayH, kGateH, kSourceH, kFeedback, kReciprocalSlabs };
enum ReciprocalMap { kX, kResidual, kFeedbackMap, kC, kH, kReciprocalMaps };

/// Every convolution that a cell may have, in the order of its operands.
struct ReciprocalLink {
  const char* name;
  ReciprocalKernel ReciprocalWeights::*kernel;
  int source, slab;
};
inline constexpr ReciprocalLink kReciprocalLinks[] = {
    {"c_to_c_decay", &ReciprocalWeights::c_to_c_decay, kC, kDecayC},
    {"x_to_c_decay", &ReciprocalWeights::x_to_c_decay, kX, kDecayC},
    {"residual_to_c_decay", &ReciprocalWeights::residual_to_c_decay, kResidual, kDecayC},
    {"h_to_c_gate", &ReciprocalWeights::h_to_c_gate, kH, kGateC},
    {"x_to_c_gate", &ReciprocalWeights::x_to_c_gate, kX, kGateC},
    {"residual_to_c_gate", &ReciprocalWeights::residual_to_c_gate, kResidual, kGateC},
    {"x_to_c", &ReciprocalWeights::x_to_c, kX, kSourceC},
    {"residual_to_c", &ReciprocalWeights::residual_to_c, kResidual, kSourceC},
    {"h_to_h_decay", &ReciprocalWeights::h_to_h_decay, kH, kDecayH},
    {"x_to_h_decay", &ReciprocalWeights::x_to_h_decay, kX, kDecayH},
    {"residual_to_h_decay", &ReciprocalWeights::residual_to_h_decay, kResidual, kDecayH},
    {"c_to_h_gate", &ReciprocalWeights::c_to_h_gate, kC, kGateH},
    {"x_to_h_gate", &ReciprocalWeights::x_to_h_gate, kX, kGateH},
    {"residual_to_h_gate", &ReciprocalWeights::residual_to_h_gate, kResidual, kGateH},
    {"x_to_h", &ReciprocalWeights::x_to_h, kX, kSourceH},
    {"c_to_h", &ReciprocalWeights::c_to_h, kC, kSourceH},
    {"residual_to_h", &ReciprocalWeights::residual_to_h, kResidual, kSourceH},
    {"feedback", &ReciprocalWeights::feedback, kFeedbackMap, kFeedback},
};
struct ReciprocalBias {
  const char* name;
  Var ReciprocalWeights::*bias;
};
/// In the order of the slabs.
inline constexpr ReciprocalBias kReciprocalBiases[kReciprocalSlabs] = {
    {"c_decay_bias", &ReciprocalWeights::c_decay_bias},
    {"c_gate_bias", &ReciprocalWeights::c_gate_bias},
    {"c_bias", &ReciprocalWeights::c_bias},
    {"h_decay_bias", &ReciprocalWeights::h_decay_bias},
    {"h_gate_bias", &ReciprocalWeights::h_gate_bias},
    {"h_bias", &ReciprocalWeights::h_bias},
    {"feedback_bias", &ReciprocalWeights::feedback_bias},
};
constexpr int kLinks = static_cast<int>(std::size(kReciprocalLinks)), kFirstKernel = kReciprocalMaps,
              kFirstDepthwise = kFirstKernel + kLinks, kFirstBias = kFirstDepthwise + kLinks,
              kReciprocalOperands = kFirstBias + kReciprocalSlabs;
static_assert(kLinks <= Links::kMaxLinks && kReciprocalSlabs <= Links::kMaxSlabs);
// In backward each map, and each one behind a depthwise kernel, is a slab.
static_assert(kLinks <= ConvTerms::kMaxTerms && kReciprocalMaps + kLinks <= ConvTerms::kMaxSlabs);

/// The weight that is operand number `operand`, kFirstKernel or more.
template <class Weights>
auto& operand_of(Weights& weights, int operand) {
  if (operand >= kFirstBias) return weights.*kReciprocalBiases[operand - kFirstBias].bias;
  if (operand >= kFirstDepthwise)
    return (weights.*kReciprocalLinks[operand - kFirstDepthwise].kernel).depthwise;
  return (weights.*kReciprocalLinks[operand - kFirstKernel].kernel).weight;
}

/// A cell in numbers: functions, and which operands are there.
struct ReciprocalCell {
  ReciprocalOptions options;
  bool given[kReciprocalOperands] = {};
  std::int64_t c_channels = 0, h_channels = 0;

  std::int64_t slab_channels(int slab) const { return belongs_to_c(slab) ? c_channels : h_channels; }
  bool belongs_to_c(int slab) const { return slab < kDecayH || (slab == kFeedback && options.feedback_to_c); }
  /// The convolutions of c', of h', or of both.
  Links links(bool of_c = true, bool of_h = true) const {
    Links all;
    for (int s = 0; s < kReciprocalSlabs; ++s) all.add_slab(slab_channels(s), kFirstBias + s);
    for (int k = 0; k < kLinks; ++k) {
      const ReciprocalLink& link = kReciprocalLinks[k];
      if (given[kFirstKernel + k] && (belongs_to_c(link.slab) ? of_c : of_h))
        all.add({.source = link.source,
                 .weight = kFirstKernel + k,
                 .slab = link.slab,
                 .depthwise = given[kFirstDepthwise + k] ? kFirstDepthwise + k : -1});
    }
    return all;
  }
  /// c' is part 0, h' part 1.
  CellUpdate update(Kept operands, const Maps& slabs) const {
    const Tensor& h = operands[kH];
    CellUpdate cell{.kind = CellKind::gated, .batch = h.size(0), .parts = 2, .part = {}};
    for (int p = 0; p < 2; ++p) {
      CellPart& part = cell.part[p];
      part.size = (p == 0 ? c_channels : h_channels) * h.size(2) * h.size(3);
      part.rule = {.f = p == 0 ? options.cell : options.output,
                   .state = options.decay,
                   .input = options.gate,
                   .state_offset = options.decay_offset,
                   .state_scale = options.decay_scale,
                   .input_offset = options.gate_offset,
                   .input_scale = options.gate_scale};
      const bool has_feedback = slabs[kFeedback].defined() && options.feedback_to_c == (p == 0);
      if (has_feedback) part.rule.feedback = options.feedback;  // else φ(0) must be 0
      for (int k = 0; k < kCellGates; ++k) {
        const int slab = k == 3 ? static_cast<int>(kFeedback) : 3 * p + k;
        if (!slabs[slab].defined() || (k == 3 && !has_feedback)) continue;
        part.gate[k] = slabs[slab].data();
        part.gate_stride[k] = part.size;
      }
      part.in[0] = operands[p == 0 ? kC : kH].data();
      if (p == 0 ? options.x_into_c : options.x_into_h) part.in[1] = operands[kX].data();
      if (p == 1 && options.residual_into_h) part.in[2] = operands[kResidual].data();
    }
    return cell;
  }
};

inline void check_reciprocal(const char* op, const ReciprocalInputs& in, const ReciprocalState& state,
                             const ReciprocalWeights& weights, const ReciprocalOptions& options) {
  const Var& x = in.x;
  check_first_map(op, x);
  check_map(op, "c", state.c, x);
  check_map(op, "h", state.h, x);
  const std::int64_t c = state.c.shape()[1], h = state.h.shape()[1];
  if (in.residual.value().defined())
    check_map(op, "residual", in.residual, x, options.residual_into_h ? h : -1);
  if (in.feedback.value().defined()) check_map(op, "feedback", in.feedback, x);
  if (options.residual_into_h && !in.residual.value().defined())
    reject<ValueError>(op, "residual_into_h needs a residual (x {})", x.shape());
  if (options.x_into_c && x.shape()[1] != c)
    reject(op, "x {} cannot be added to c {}, which has other channels; give x_to_c", x.shape(),
           state.c.shape());
  if (options.x_into_h && x.shape()[1] != h)
    reject(op, "x {} cannot be added to h {}, which has other channels; give x_to_h", x.shape(),
           state.h.shape());
  for (const auto& [name, f] :
       {std::pair{"decay", options.decay}, std::pair{"gate", options.gate}, std::pair{"cell", options.cell},
        std::pair{"output", options.output}, std::pair{"feedback", options.feedback}})
    check_function(op, name, f);
  const Var* maps[] = {&x, &in.residual, &in.feedback, &state.c, &state.h};
  const auto channels_of = [&](int slab) {
    return slab < kDecayH || (slab == kFeedback && options.feedback_to_c) ? c : h;
  };
  bool has_slab[kReciprocalSlabs] = {};
  for (const ReciprocalLink& link : kReciprocalLinks) {
    const ReciprocalKernel& kernel = weights.*link.kernel;
    const bool separable = kernel.depthwise.value().defined();
    if (!kernel.weight.value().defined()) {
      if (separable) reject<ValueError>(op, "depthwise_{} is given without {}", link.name, link.name);
      continue;
    }
    const Var& source = *maps[link.source];
    if (!source.value().defined())
      reject<ValueError>(op, "{} is given without the map that it reads (x {})", link.name, x.shape());
    check_kernel(op, link.name, kernel.weight, x, channels_of(link.slab), source.shape()[1]);
    if (separable)
      check_kernel(op, (std::string("depthwise_") + link.name).c_str(), kernel.depthwise, x,
                   source.shape()[1], 1);
    has_slab[link.slab] = true;
  }
  for (int s = 0; s < kReciprocalSlabs; ++s) {
    const ReciprocalBias& bias = kReciprocalBiases[s];
    check_bias(op, bias.name, weights.*bias.bias, x, channels_of(s));
    if ((weights.*bias.bias).value().defined() && !has_slab[s])
      reject<ValueError>(op, "{} is given without a convolution that it belongs to", bias.name);
  }
}

inline Grads reciprocal_slopes(const char* op, const ReciprocalCell& cell, const Grads& dys, Needs needs,
                               Kept kept) {
  const Kept operands = kept.first(kReciprocalOperands);
  // A state that nobody used has no slopes, and its convolutions are not needed again.
  const Links links = cell.links(dys[0].defined(), dys[1].defined());
  const Maps between = depthwise_maps(op, links, operands);
  const Maps slabs = cell.options.keep_gates ? Maps(kept.begin() + kReciprocalOperands, kept.end())
                                             : slabs_of(op, links, operands, between);
  Maps dslabs(kReciprocalSlabs);
  for (int s = 0; s < kReciprocalSlabs; ++s)
    if (slabs[s].defined()) dslabs[s] = Tensor::empty_like(slabs[s], op);
  Grads d(kReciprocalOperands);
  const CellUpdate update = cell.update(operands, slabs);
  CellSlopes slopes;
  Tensor dy[2], x_through_c;
  for (int p = 0; p < 2; ++p) {
    if (dys[p].defined()) {
      dy[p] = dys[p].contiguous(op);
      slopes.part[p].dout[0] = dy[p].data();
    }
    for (int k = 0; k < kCellGates; ++k)
      if (update.part[p].gate[k] != nullptr)
        slopes.part[p].dgate[k] = dslabs[k == 3 ? static_cast<int>(kFeedback) : 3 * p + k].data();
    for (int k = 0; k < kCellInputs; ++k) {
      const int source = k == 0 ? (p == 0 ? kC : kH) : k == 1 ? kX : kResidual;
      if (update.part[p].in[k] == nullptr || !needs[source]) continue;
      Tensor& to = p == 0 && k == 1 ? x_through_c : d[source];
      to = Tensor::empty_like(operands[source], op);
      slopes.part[p].din[k] = to.data();
    }
  }
  on(operands[kH].queue(), [&](auto& q) { kernels::cell_update_grad(q, update, slopes); });
  if (x_through_c.defined() && d[kX].defined())
    accumulate(x_through_c, d[kX]);
  else if (x_through_c.defined())
    d[kX] = x_through_c;
  link_slopes(op, links, operands, between, dslabs, wanted(needs, kReciprocalOperands), d);
  return d;
}

}  // namespace conv_rnn

/// One step of the reciprocal gated cell: each of its two states keeps a part of itself and takes in a part
/// of its source, and each part is gated by one of the states. At most three launches: depthwise kernels if
/// there are any, all other convolutions, all gate arithmetic; and at most half the bytes of the composition are
/// kept. Sums over `given` kernels, each with stride 1 and SAME padding.
///
/// formula  τ_c = φ_τ(c_to_c_decay ⋆ c + x_to_c_decay ⋆ x + residual_to_c_decay ⋆ r),
///          γ_c = φ_γ(h_to_c_gate ⋆ h + x_to_c_gate ⋆ x + residual_to_c_gate ⋆ r),
///          s_c = x_to_c ⋆ x + residual_to_c ⋆ r [+ x] [+ φ_fb(feedback ⋆ fb)],
///          c' = φ_c((o_τ + m_τ·τ_c)·c + (o_γ + m_γ·γ_c)·s_c), and
///          τ_h = φ_τ(h_to_h_decay ⋆ h + x_to_h_decay ⋆ x + residual_to_h_decay ⋆ r),
///          γ_h = φ_γ(c_to_h_gate ⋆ c + x_to_h_gate ⋆ x + residual_to_h_gate ⋆ r),
///          s_h = x_to_h ⋆ x + c_to_h ⋆ c + residual_to_h ⋆ r [+ x] [+ r] [+ φ_fb(feedback ⋆ fb)],
///          h' = φ_h((o_τ + m_τ·τ_h)·h + (o_γ + m_γ·γ_h)·s_h); a gate without a convolution is φ(0)
/// inputs   x [N, X, H, W]; residual r and feedback fb of the same N, H, W, or Var(); f32
/// state    c [N, C, H, W], h [N, D, H, W], f32
/// weights  see ReciprocalWeights; each kernel may have a depthwise one before it, nothing in between
/// options  functions, offsets, scales, and what enters s_c and s_h beside the convolutions
/// returns  c' [N, C, H, W] and h' [N, D, H, W], which is the output
/// keeps    the operands; the seven sums of convolutions ([N, C, H, W] or [N, D, H, W]) only if asked for.
///          Their slopes follow from dc' and dh', and are correlated with kernels and maps
/// throws   ShapeError, DTypeError, DeviceError, ValueError (functions; a kernel without its map)
/// order    terms, channels and taps in a fixed nesting given by the shape; each gate by itself
/// source   Nayebi et al. 2018, Task-driven convolutional recurrent models of the visual system; the general
///          form and its constants: Nayebi et al. 2022, Recurrent connections in the primate ventral visual
///          stream
///
/// Not in one step: normalisation before φ_c and φ_h, crelu, repeated depthwise kernels, and feedback that
/// enters x: those are ops of their own around it, with launches and kept maps of their own.
inline ReciprocalState reciprocal_gated_step(const ReciprocalInputs& inputs, const ReciprocalState& state,
                                             const ReciprocalWeights& weights,
                                             const ReciprocalOptions& options = {}) {
  constexpr const char* op = "reciprocal_gated_step";
  using namespace conv_rnn;
  check_reciprocal(op, inputs, state, weights, options);
  std::vector<Var> operands{inputs.x, inputs.residual, inputs.feedback, state.c, state.h};
  for (int k = kFirstKernel; k < kReciprocalOperands; ++k) operands.push_back(operand_of(weights, k));
  ReciprocalCell cell;
  cell.options = options;
  cell.c_channels = state.c.shape()[1];
  cell.h_channels = state.h.shape()[1];
  for (int k = 0; k < kReciprocalOperands; ++k)
    cell.given[k] = operands[static_cast<std::size_t>(k)].value().defined();

  Maps kept = values_of(op, operands);
  const Links links = cell.links();
  const Maps slabs = slabs_of(op, links, kept, depthwise_maps(op, links, kept));
  const Tensor c = map_like(op, kept[kX], cell.c_channels), h = map_like(op, kept[kX], cell.h_channels);
  CellUpdate update = cell.update(kept, slabs);
  update.part[0].out[0] = c.data();
  update.part[1].out[0] = h.data();
  on(c.queue(), [&](auto& q) { kernels::cell_update(q, update); });
  for (const Tensor& slab : slabs) kept.push_back(options.keep_gates ? slab : Tensor());
  const auto results = record_step(reciprocal_gated_step_info, {c, h}, operands, std::move(kept),
                                   [cell](const Grads& dys, Needs needs, Kept all) -> Grads {
                                     return reciprocal_slopes(op, cell, dys, needs, all);
                                   });
  return {results[0], results[1]};
}

}  // namespace fovea
