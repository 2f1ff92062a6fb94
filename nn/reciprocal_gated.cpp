// SPDX-License-Identifier: Apache-2.0
#include "nn/reciprocal_gated.h"

#include "nn/init.h"

namespace fovea::nn {
namespace {

using W = ReciprocalWeights;

ReciprocalOptions options_of(const ReciprocalConfig& config) {
  return {.decay = config.decay,
          .gate = config.gate,
          .cell = config.cell_activation,
          .output = config.output_activation,
          .feedback = config.feedback_activation,
          .decay_offset = config.decay_offset,
          .decay_scale = config.decay_scale,
          .gate_offset = config.gate_offset,
          .gate_scale = config.gate_scale,
          .x_into_c = config.input_into_cell,
          .x_into_h = !config.input_to_output,
          .residual_into_h = config.residual_to_output && config.residual == config.out,
          .feedback_to_c = config.feedback_entry == FeedbackEntry::cell,
          .keep_gates = config.keep_gates};
}

}  // namespace

ReciprocalConfig rgc_paper(std::int64_t channels, float gate_bias) {
  ReciprocalConfig config;
  config.in = config.cell = config.out = channels;
  config.decay = config.gate = Function::sigmoid;
  config.input_into_cell = true;
  config.decay_bias = config.gate_bias = gate_bias;
  return config;
}

ReciprocalConfig rgc_shallow(std::int64_t channels, std::int64_t residual) {
  ReciprocalConfig config = rgc_paper(channels);
  config.residual = residual;
  config.input_into_cell = false;
  config.input_to_cell = true;
  config.residual_to_output_gate = true;
  config.bias = false;
  return config;
}

ReciprocalConfig rgc_median(std::int64_t channels, std::int64_t residual, std::int64_t feedback,
                            std::int64_t cell) {
  ReciprocalConfig config;
  config.in = config.out = channels;
  config.cell = cell;
  config.residual = residual;
  config.feedback = feedback;
  config.decay_kernel = config.gate_kernel = 7;
  config.decay_separable = config.gate_separable = true;
  config.input_kernel = 2;
  config.feedback_kernel = 1;
  config.input_to_cell = config.input_to_output = config.residual_to_output = true;
  config.decay = Function::sigmoid;
  config.decay_offset = 0.92193f;
  config.decay_scale = -0.92193f;
  config.gate_offset = 0.70066f;
  config.gate_scale = -0.70066f;
  config.init_scale = 0.639f;
  return config;
}

namespace {

void check(const ReciprocalConfig& c) {
  constexpr const char* op = "reciprocal_gated";
  if (c.in < 1 || c.out < 1 || c.cell < 0 || c.residual < 0 || c.feedback < 0)
    reject<ValueError>(op, "in {}, cell {}, out {}, residual {} and feedback {} channels make no cell", c.in,
                       c.cell, c.out, c.residual, c.feedback);
  if (c.residual == 0 && (c.residual_to_cell || c.residual_to_decay || c.residual_to_gate ||
                          c.residual_to_output || c.residual_to_output_decay || c.residual_to_output_gate))
    reject<ValueError>(op, "a convolution reads the residual, which has no channels");
  const bool feeds_cell = c.feedback > 0 && c.feedback_entry == FeedbackEntry::cell;
  const bool has_source = c.input_to_cell || c.input_into_cell || c.residual_to_cell || feeds_cell;
  if (c.cell == 0 && (has_source || c.residual_to_decay || c.residual_to_gate || c.cell_to_output))
    reject<ValueError>(op, "an input or a convolution belongs to c, which has no channels");
  if (c.cell > 0 && !has_source)
    reject<ValueError>(op,
                       "nothing enters c of {} channels; set input_to_cell, input_into_cell or "
                       "residual_to_cell, or let feedback enter at the cell",
                       c.cell);
  if (c.input_into_cell && c.cell != c.in)
    reject<ValueError>(op, "x of {} channels cannot enter c of {} as it is; set input_to_cell", c.in, c.cell);
  if (!c.input_to_output && c.out != c.in)
    reject<ValueError>(op, "x of {} channels cannot enter h of {} as it is; set input_to_output", c.in,
                       c.out);
  if (!c.bias && (c.decay_bias != 0.0f || c.gate_bias != 0.0f))
    reject<ValueError>(op, "decay_bias is {} and gate_bias is {}, but there is no bias", c.decay_bias,
                       c.gate_bias);
}

}  // namespace

ReciprocalGatedCell::ReciprocalGatedCell(const ReciprocalConfig& config, const Device& device)
    : ConvCell("reciprocal_gated"), config_(config) {
  check(config);
  const ReciprocalConfig& c = config_;
  slots_.reserve(conv_rnn::kReciprocalOperands);
  const auto add_slot = [&](int operand, const std::string& name, Role role, const Shape& shape,
                            InitRule init) {
    slots_.push_back({{}, operand});
    add_parameter(name, slots_.back().parameter, role, shape, device, std::move(init));
  };
  const auto scaled = [&](std::int64_t times_fewer) {
    return c.init_scale > 0 ? init::variance_scaling(c.init_scale / static_cast<float>(times_fewer))
                            : init::xavier_uniform();
  };
  const auto add = [&](ReciprocalKernel W::*field, std::int64_t out, std::int64_t in, Size2d kernel,
                       bool separable) {
    int k = 0;
    while (conv_rnn::kReciprocalLinks[k].kernel != field) ++k;
    const std::string name = conv_rnn::kReciprocalLinks[k].name;
    const Size2d taps = fit(kernel, c.map), own = separable ? Size2d(1) : taps;
    if (separable)
      add_slot(conv_rnn::kFirstDepthwise + k, "depthwise_" + name, Role::weight,
               {in, 1, taps.height, taps.width}, scaled(in));
    add_slot(conv_rnn::kFirstKernel + k, name, Role::weight, {out, in, own.height, own.width}, scaled(1));
  };
  const auto add_bias = [&](conv_rnn::ReciprocalSlab slab, std::int64_t channels, float start) {
    if (c.bias)
      add_slot(conv_rnn::kFirstBias + slab, conv_rnn::kReciprocalBiases[slab].name, Role::bias, {channels},
               init::constant(start));
  };
  const Size2d cell_decay = c.cell_decay_kernel.height > 0 ? c.cell_decay_kernel : c.decay_kernel;
  if (c.cell > 0) {
    add(&W::c_to_c_decay, c.cell, c.cell, cell_decay, c.decay_separable);
    if (c.input_to_decay) add(&W::x_to_c_decay, c.cell, c.in, cell_decay, c.decay_separable);
    if (c.residual_to_decay) add(&W::residual_to_c_decay, c.cell, c.residual, cell_decay, c.decay_separable);
    add_bias(conv_rnn::kDecayC, c.cell, c.decay_bias);
    add(&W::h_to_c_gate, c.cell, c.out, c.gate_kernel, c.gate_separable);
    if (c.input_to_gate) add(&W::x_to_c_gate, c.cell, c.in, c.gate_kernel, c.gate_separable);
    if (c.residual_to_gate) add(&W::residual_to_c_gate, c.cell, c.residual, c.gate_kernel, c.gate_separable);
    add_bias(conv_rnn::kGateC, c.cell, c.gate_bias);
    if (c.input_to_cell) add(&W::x_to_c, c.cell, c.in, c.input_kernel, c.input_separable);
    if (c.residual_to_cell) add(&W::residual_to_c, c.cell, c.residual, c.input_kernel, c.input_separable);
    if (c.input_to_cell || c.residual_to_cell) add_bias(conv_rnn::kSourceC, c.cell, 0.0f);
  }
  add(&W::h_to_h_decay, c.out, c.out, c.decay_kernel, c.decay_separable);
  if (c.input_to_decay) add(&W::x_to_h_decay, c.out, c.in, c.decay_kernel, c.decay_separable);
  if (c.residual_to_output_decay)
    add(&W::residual_to_h_decay, c.out, c.residual, c.decay_kernel, c.decay_separable);
  add_bias(conv_rnn::kDecayH, c.out, c.decay_bias);
  const bool gated_by_c = c.cell > 0 && !c.cell_to_output;
  if (gated_by_c) add(&W::c_to_h_gate, c.out, c.cell, c.gate_kernel, c.gate_separable);
  if (c.input_to_gate) add(&W::x_to_h_gate, c.out, c.in, c.gate_kernel, c.gate_separable);
  if (c.residual_to_output_gate)
    add(&W::residual_to_h_gate, c.out, c.residual, c.gate_kernel, c.gate_separable);
  if (gated_by_c || c.input_to_gate || c.residual_to_output_gate)
    add_bias(conv_rnn::kGateH, c.out, c.gate_bias);
  if (c.input_to_output) add(&W::x_to_h, c.out, c.in, c.output_kernel, c.output_separable);
  if (c.cell_to_output) add(&W::c_to_h, c.out, c.cell, c.gate_kernel, c.gate_separable);
  if (c.input_to_output || c.cell_to_output) add_bias(conv_rnn::kSourceH, c.out, 0.0f);
  if (c.residual_to_output && c.residual != c.out) add(&W::residual_to_h, c.out, c.residual, 1, false);
  if (c.feedback > 0) {
    const std::int64_t channels = c.feedback_entry == FeedbackEntry::input  ? c.in
                                  : c.feedback_entry == FeedbackEntry::cell ? c.cell
                                                                            : c.out;
    add(&W::feedback, channels, c.feedback, c.feedback_kernel, c.feedback_separable);
    add_bias(conv_rnn::kFeedback, channels, 0.0f);
  }
  if (!c.layer_norm) return;
  const auto add_norm = [&](const char* gamma_name, Parameter& gamma, const char* beta_name, Parameter& beta,
                            std::int64_t channels) {
    add_parameter(gamma_name, gamma, Role::scale, {channels}, device, init::constant(1.0f));
    add_parameter(beta_name, beta, Role::shift, {channels}, device, init::constant(0.0f));
  };
  if (c.cell > 0) add_norm("c_gamma", c_gamma_, "c_beta", c_beta_, c.cell);
  add_norm("h_gamma", h_gamma_, "h_beta", h_beta_, c.out);
}

CellResult ReciprocalGatedCell::next(const CellInputs& inputs, const CellState& state) {
  ReciprocalWeights weights;
  for (Slot& slot : slots_) conv_rnn::operand_of(weights, slot.operand) = on_tape(slot.parameter, inputs.x);
  ReciprocalInputs in{inputs.x, config_.residual > 0 ? inputs.residual : Var(),
                      config_.feedback > 0 ? inputs.feedback : Var()};
  if (config_.feedback_entry == FeedbackEntry::input && config_.feedback > 0) {
    if (!in.feedback.value().defined())
      reject<ValueError>(label(kind()), "its feedback of {} channels is missing", config_.feedback);
    const Var more = conv_rnn::same_conv(in.feedback, weights.feedback, weights.feedback_bias);
    in.x = in.x + conv_rnn::composed_function(config_.feedback_activation, more);
    in.feedback = weights.feedback_bias = Var();
    weights.feedback = {};
  }
  in.x = conv_rnn::composed_function(config_.input_activation, in.x);
  const ReciprocalState before{state.maps[0], state.maps[1]};
  const ReciprocalOptions options = options_of(config_);
  ReciprocalState after;
  if (config_.fused && !config_.layer_norm) {
    after = reciprocal_gated_step(in, before, weights, options);
  } else {
    ReciprocalNorms norms;
    if (config_.layer_norm) {
      if (config_.cell > 0) {
        norms.c_gamma = on_tape(c_gamma_, in.x);
        norms.c_beta = on_tape(c_beta_, in.x);
      }
      norms.h_gamma = on_tape(h_gamma_, in.x);
      norms.h_beta = on_tape(h_beta_, in.x);
    }
    after = reciprocal_gated_composed(in, before, weights, options, norms);
  }
  return {after.h, {{after.c, after.h}}};
}

}  // namespace fovea::nn
