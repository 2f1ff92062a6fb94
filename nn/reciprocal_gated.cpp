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
          .x_into_c = config.cell > 0 && !config.input_to_cell,
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
  config.decay_bias = config.gate_bias = gate_bias;
  return config;
}

ReciprocalConfig rgc_shallow(std::int64_t channels, std::int64_t residual) {
  ReciprocalConfig config = rgc_paper(channels);
  config.residual = residual;
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
                          c.residual_to_output || c.residual_to_output_gate))
    reject<ValueError>(op, "a convolution reads the residual, which has no channels");
  if (c.cell == 0 &&
      (c.input_to_cell || c.residual_to_cell || c.input_to_decay || c.residual_to_decay || c.input_to_gate ||
       c.residual_to_gate || c.cell_to_output || (c.feedback > 0 && c.feedback_entry == FeedbackEntry::cell)))
    reject<ValueError>(op, "a convolution belongs to c, which has no channels");
  if (c.cell > 0 && !c.input_to_cell && c.cell != c.in)
    reject<ValueError>(op, "x of {} channels cannot enter c of {} as it is; set input_to_cell", c.in, c.cell);
  if (!c.input_to_output && c.out != c.in)
    reject<ValueError>(op, "x of {} channels cannot enter h of {} as it is; set input_to_output", c.in,
                       c.out);
}

}  // namespace

ReciprocalGatedCell::ReciprocalGatedCell(const ReciprocalConfig& config, const Device& device)
    : ConvCell("reciprocal_gated"), config_(config) {
  check(config);
  const ReciprocalConfig& c = config_;
  slots_.reserve(conv_rnn::kReciprocalOperands);
  using Field = Var W::*;
  const auto add_weight = [&](const char* name, Field field, std::int64_t out, std::int64_t in,
                              Size2d kernel) {
    const Size2d k = fit(kernel, c.map);
    slots_.push_back({{}, field});
    add_parameter(name, slots_.back().parameter, Role::weight, {out, in, k.height, k.width}, device,
                  c.init_scale > 0 ? init::variance_scaling(c.init_scale) : init::xavier_uniform());
  };
  const auto add_bias = [&](const char* name, Field field, std::int64_t channels, float start) {
    if (!c.bias) return;
    slots_.push_back({{}, field});
    add_parameter(name, slots_.back().parameter, Role::bias, {channels}, device, init::constant(start));
  };
  const auto add_gate = [&](const char* name, Field field, const char* depthwise_name, Field depthwise,
                            std::int64_t out, std::int64_t in, Size2d kernel, bool separable) {
    if (separable) add_weight(depthwise_name, depthwise, in, 1, kernel);
    add_weight(name, field, out, in, separable ? Size2d(1) : kernel);
  };
  if (c.cell > 0) {
    add_gate("c_to_c_decay", &W::c_to_c_decay, "depthwise_c_to_c_decay", &W::depthwise_c_to_c_decay, c.cell,
             c.cell, c.decay_kernel, c.decay_separable);
    if (c.input_to_decay) add_weight("x_to_c_decay", &W::x_to_c_decay, c.cell, c.in, c.decay_kernel);
    if (c.residual_to_decay)
      add_weight("residual_to_c_decay", &W::residual_to_c_decay, c.cell, c.residual, c.decay_kernel);
    add_bias("c_decay_bias", &W::c_decay_bias, c.cell, c.decay_bias);
    add_gate("h_to_c_gate", &W::h_to_c_gate, "depthwise_h_to_c_gate", &W::depthwise_h_to_c_gate, c.cell,
             c.out, c.gate_kernel, c.gate_separable);
    if (c.input_to_gate) add_weight("x_to_c_gate", &W::x_to_c_gate, c.cell, c.in, c.gate_kernel);
    if (c.residual_to_gate)
      add_weight("residual_to_c_gate", &W::residual_to_c_gate, c.cell, c.residual, c.gate_kernel);
    add_bias("c_gate_bias", &W::c_gate_bias, c.cell, c.gate_bias);
    if (c.input_to_cell) add_weight("x_to_c", &W::x_to_c, c.cell, c.in, c.input_kernel);
    if (c.residual_to_cell)
      add_weight("residual_to_c", &W::residual_to_c, c.cell, c.residual, c.input_kernel);
    if (c.input_to_cell || c.residual_to_cell) add_bias("c_bias", &W::c_bias, c.cell, 0.0f);
  }
  add_gate("h_to_h_decay", &W::h_to_h_decay, "depthwise_h_to_h_decay", &W::depthwise_h_to_h_decay, c.out,
           c.out, c.decay_kernel, c.decay_separable);
  add_bias("h_decay_bias", &W::h_decay_bias, c.out, c.decay_bias);
  const bool gated_by_c = c.cell > 0 && !c.cell_to_output;
  if (gated_by_c)
    add_gate("c_to_h_gate", &W::c_to_h_gate, "depthwise_c_to_h_gate", &W::depthwise_c_to_h_gate, c.out,
             c.cell, c.gate_kernel, c.gate_separable);
  if (c.residual_to_output_gate)
    add_weight("residual_to_h_gate", &W::residual_to_h_gate, c.out, c.residual, c.gate_kernel);
  if (gated_by_c || c.residual_to_output_gate) add_bias("h_gate_bias", &W::h_gate_bias, c.out, c.gate_bias);
  if (c.input_to_output) add_weight("x_to_h", &W::x_to_h, c.out, c.in, c.output_kernel);
  if (c.cell_to_output) add_weight("c_to_h", &W::c_to_h, c.out, c.cell, c.output_kernel);
  if (c.input_to_output || c.cell_to_output) add_bias("h_bias", &W::h_bias, c.out, 0.0f);
  if (c.residual_to_output && c.residual != c.out)
    add_weight("residual_to_h", &W::residual_to_h, c.out, c.residual, 1);
  if (c.feedback > 0) {
    const std::int64_t channels = c.feedback_entry == FeedbackEntry::input  ? c.in
                                  : c.feedback_entry == FeedbackEntry::cell ? c.cell
                                                                            : c.out;
    add_weight("feedback", &W::feedback, channels, c.feedback, c.feedback_kernel);
    add_bias("feedback_bias", &W::feedback_bias, channels, 0.0f);
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
  for (Slot& slot : slots_) weights.*slot.field = on_tape(slot.parameter, inputs.x);
  ReciprocalInputs in{inputs.x, config_.residual > 0 ? inputs.residual : Var(),
                      config_.feedback > 0 ? inputs.feedback : Var()};
  if (config_.feedback_entry == FeedbackEntry::input && config_.feedback > 0) {
    if (!in.feedback.value().defined())
      reject<ValueError>(label(kind()), "its feedback of {} channels is missing", config_.feedback);
    const Var more = conv_rnn::same_conv(in.feedback, weights.feedback, weights.feedback_bias);
    in.x = in.x + conv_rnn::composed_function(config_.feedback_activation, more);
    in.feedback = weights.feedback = weights.feedback_bias = Var();
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
