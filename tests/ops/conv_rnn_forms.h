// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <algorithm>
#include <string>
#include <vector>

#include "autograd/ops/conv_rnn_reciprocal.h"

/// Forms of the reciprocal gated cell that the tests run: which operands they have, and of what shape.
namespace fovea::test {

/// kSeparable has every convolution, each with a depthwise kernel; kSeparableOutput those of h'; kEverything
/// has every one without.
enum Form { kPaper, kShallow, kMedian, kEverything, kSeparable, kSeparableOutput, kOneState, kLargeKernel };

struct Given {
  int operand;  // of reciprocal_gated_step
  Shape shape;
};

/// Batch, height and width; channels of x, residual, feedback, c and h.
struct Sizes {
  std::int64_t n, h, w, x, q, f, c, d;
};

inline ReciprocalOptions options_of(Form form, bool keep) {
  ReciprocalOptions o;
  o.keep_gates = keep;
  o.x_into_c = form == kPaper;
  o.x_into_h = form == kPaper || form == kShallow;
  if (form != kPaper && form != kShallow) {
    o.gate = Function::tanh;
    o.decay_offset = 0.92193f;
    o.decay_scale = -0.92193f;
    o.gate_offset = 0.70066f;
    o.gate_scale = -0.70066f;
  }
  if (form == kEverything) {
    o.residual_into_h = true;
    o.feedback_to_c = true;
    o.feedback = Function::elu;
    o.cell = Function::tanh;
    o.output = Function::identity;
  }
  return o;
}

/// The operands in their order.
inline std::vector<Given> operands_of(Form form, const Sizes& s) {
  using namespace conv_rnn;
  std::vector<Given> given;
  const bool separable = form == kSeparable || form == kSeparableOutput,
             all = form == kEverything || separable, fed_c = options_of(form, false).feedback_to_c;
  const int first_slab = form == kSeparableOutput ? static_cast<int>(kDecayH) : 0;
  const auto map = [&](int operand, std::int64_t channels) {
    given.push_back({operand, {s.n, channels, s.h, s.w}});
  };
  const auto channels_of = [&](int slab) {
    return slab < kDecayH || (slab == kFeedback && fed_c) ? s.c : s.d;
  };
  const std::int64_t in[] = {s.x, s.q, s.f, s.c, s.d};
  const auto kernel = [&](const std::string& name, std::int64_t rows, std::int64_t columns,
                          std::int64_t depthwise = 0) {
    int k = 0;
    while (kReciprocalLinks[k].name != name) ++k;
    const auto& link = kReciprocalLinks[k];
    given.push_back({kFirstKernel + k, {channels_of(link.slab), in[link.source], rows, columns}});
    if (depthwise > 0) given.push_back({kFirstDepthwise + k, {in[link.source], 1, depthwise, depthwise}});
  };
  map(kX, s.x);
  if (form == kShallow || form == kMedian || all) map(kResidual, s.q);
  if (form == kMedian || all) map(kFeedbackMap, s.f);
  map(kC, s.c);
  map(kH, s.d);
  if (form == kPaper || form == kShallow)
    for (const char* name : {"c_to_c_decay", "h_to_c_gate", "h_to_h_decay", "c_to_h_gate"})
      kernel(name, 3, 3);
  if (form == kShallow) {
    kernel("x_to_c", 3, 3);
    kernel("residual_to_h_gate", 3, 3);
  }
  if (form == kMedian) {
    kernel("c_to_c_decay", 1, 1, 7);
    kernel("h_to_c_gate", 1, 1, 7);
    kernel("x_to_c", 2, 2);
    kernel("h_to_h_decay", 1, 1, 4);
    kernel("c_to_h_gate", 1, 1, 3);
    kernel("x_to_h", 3, 3);
    kernel("residual_to_h", 1, 1);
    kernel("feedback", 1, 1);
  }
  if (all)
    for (const auto& link : kReciprocalLinks)
      if (link.slab >= first_slab) separable ? kernel(link.name, 1, 1, 3) : kernel(link.name, 2, 3);
  if (form == kMedian || all)
    for (int slab = first_slab; slab < kReciprocalSlabs; ++slab)
      given.push_back({kFirstBias + slab, {channels_of(slab)}});
  if (form == kOneState || form == kLargeKernel) {
    kernel("h_to_h_decay", 3, 3, form == kLargeKernel ? 61 : 0);
    kernel("x_to_h", 3, 3);
  }
  if (form == kOneState) {
    kernel("x_to_h_decay", 3, 1);
    kernel("x_to_h_gate", 1, 3);
  }
  std::stable_sort(given.begin(), given.end(),
                   [](const Given& a, const Given& b) { return a.operand < b.operand; });
  return given;
}

struct Step {
  ReciprocalInputs inputs;
  ReciprocalState state;
  ReciprocalWeights weights;
  ReciprocalOptions options;
};
/// A step on values in the order of operands_of().
inline Step step_of(std::span<const Var> in, Form form, const Sizes& sizes, bool keep) {
  using namespace conv_rnn;
  Step step;
  step.options = options_of(form, keep);
  Var* const maps[] = {&step.inputs.x, &step.inputs.residual, &step.inputs.feedback, &step.state.c,
                       &step.state.h};
  std::size_t k = 0;
  for (const Given& given : operands_of(form, sizes))
    (given.operand < kFirstKernel ? *maps[given.operand] : operand_of(step.weights, given.operand)) = in[k++];
  return step;
}

}  // namespace fovea::test
