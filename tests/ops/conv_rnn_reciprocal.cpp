// SPDX-License-Identifier: Apache-2.0
#include "autograd/ops/conv_rnn_reciprocal.h"

#include <doctest/doctest.h>

#include "tests/ops/conv_rnn_forms.h"
#include "tests/ops/conv_rnn_reference.h"

namespace fovea::test {
namespace {

using namespace conv_rnn;

constexpr int kSizeParams = 2;  // params: form, keep_gates, then X, Q, F, C, D
Sizes sizes_of(const Sample& sample) {
  const auto& p = sample.params;
  const Shape& x = sample.shapes[0];
  return {x[0],
          x[2],
          x[3],
          p[kSizeParams],
          p[kSizeParams + 1],
          p[kSizeParams + 2],
          p[kSizeParams + 3],
          p[kSizeParams + 4]};
}
Form form_of(const Sample& sample) { return static_cast<Form>(sample.params[0]); }

Sample sample_of(Form form, bool keep, const Sizes& s, bool fast_only = false) {
  Sample sample{.shapes = {},
                .params = {form, keep, s.x, s.q, s.f, s.c, s.d},
                .dtype = DType::f32,
                .fast_only = fast_only};
  for (const Given& given : operands_of(form, s)) sample.shapes.push_back(given.shape);
  return sample;
}

/// Slab by slab, then the two states, as the docstring has it.
ReferenceCell cell(std::span<const Doubles> in, const Sample& sample) {
  const Sizes s = sizes_of(sample);
  const Form form = form_of(sample);
  const ReciprocalOptions o = options_of(form, false);
  const auto given = operands_of(form, s);
  std::vector<const Doubles*> value(kReciprocalOperands, nullptr);
  std::vector<Shape> shape(kReciprocalOperands);
  for (std::size_t k = 0; k < given.size(); ++k) {
    value[static_cast<std::size_t>(given[k].operand)] = &in[k];
    shape[static_cast<std::size_t>(given[k].operand)] = given[k].shape;
  }
  std::vector<ReferenceMap> slabs;
  for (int slab = 0; slab < kReciprocalSlabs; ++slab) {
    const bool of_c = slab < kDecayH || (slab == kFeedback && o.feedback_to_c);
    ReferenceMap map(sample.shapes[0], of_c ? s.c : s.d);
    for (int k = 0; k < kLinks; ++k) {
      const auto& link = kReciprocalLinks[k];
      const auto weight = static_cast<std::size_t>(kFirstKernel + k),
                 source = static_cast<std::size_t>(link.source),
                 before = static_cast<std::size_t>(kFirstDepthwise + k);
      if (link.slab != slab || value[weight] == nullptr) continue;
      if (value[before] != nullptr) {
        ReferenceMap between(sample.shapes[0], shape[source][1]);
        between.add(*value[source], shape[source], *value[before], shape[before], 0, true);
        map.add(between.y, shape[source], *value[weight], shape[weight]);
        // The errors of `between` go through the 1×1 kernel.
        Doubles sizes = *value[weight];
        for (double& v : sizes) v = std::abs(v);
        ReferenceMap error(sample.shapes[0], map.channels);
        error.add(between.magnitude, shape[source], sizes, shape[weight]);
        for (std::size_t i = 0; i < map.y.size(); ++i) map.magnitude[i] += error.y[i];
      } else {
        map.add(*value[source], shape[source], *value[weight], shape[weight]);
      }
    }
    if (const Doubles* bias = value[static_cast<std::size_t>(kFirstBias + slab)]) map.add_bias(*bias);
    slabs.push_back(map);
  }
  ReferenceCell result;
  for (int p = 0; p < 2; ++p) {
    const Doubles& state = *value[static_cast<std::size_t>(p == 0 ? kC : kH)];
    const ReferenceMap &decay = slabs[static_cast<std::size_t>(3 * p)],
                       &gate = slabs[static_cast<std::size_t>(3 * p + 1)],
                       &source = slabs[static_cast<std::size_t>(3 * p + 2)];
    static_assert(kReciprocalLinks[kLinks - 1].slab == kFeedback);
    const bool fed = value[kFirstKernel + kLinks - 1] != nullptr && o.feedback_to_c == (p == 0);
    for (std::size_t i = 0; i < state.size(); ++i) {
      double sum = source.y[i], size = 2 + decay.magnitude[i] + gate.magnitude[i] + source.magnitude[i];
      const auto take = [&](double term, double more) {
        sum += term;
        size += more;
      };
      if (fed) take(value_at(o.feedback, slabs[kFeedback].y[i]), slabs[kFeedback].magnitude[i]);
      if (p == 0 ? o.x_into_c : o.x_into_h) take((*value[kX])[i], std::abs((*value[kX])[i]));
      if (p == 1 && o.residual_into_h) take((*value[kResidual])[i], std::abs((*value[kResidual])[i]));
      // The op's constants are floats.
      const double t = static_cast<double>(o.decay_offset) +
                       static_cast<double>(o.decay_scale) * value_at(o.decay, decay.y[i]);
      const double g = static_cast<double>(o.gate_offset) +
                       static_cast<double>(o.gate_scale) * value_at(o.gate, gate.y[i]);
      result.push(value_at(p == 0 ? o.cell : o.output, t * state[i] + g * sum),
                  size * (1 + std::abs(state[i])) * (1 + std::abs(sum)));
    }
  }
  return result;
}

double terms(const Sample& sample) {
  double most = 1;
  for (const Shape& shape : sample.shapes)
    if (shape.rank() == 4) most = std::max(most, static_cast<double>(shape[1] * shape[2] * shape[3]));
  return most;
}

OpCase row(std::vector<Sample> samples) {
  return {
      .info = reciprocal_gated_step_info,
      .samples = std::move(samples),
      .apply_many =
          [](std::span<const Var> in, const Sample& sample) {
            const Step step = step_of(in, form_of(sample), sizes_of(sample), sample.params[1] != 0);
            const auto state = reciprocal_gated_step(step.inputs, step.state, step.weights, step.options);
            return std::vector<Var>{state.c, state.h};
          },
      .reference = [](std::span<const Doubles> in, const Sample& sample) { return cell(in, sample).y; },
      .magnitude = [](std::span<const Doubles> in,
                      const Sample& sample) { return cell(in, sample).magnitude; },
      .terms = terms,
      // All inputs are small, for which of them are kernels depends on the sample: 1 − tanh² of a saturated
      // gate has lost its digits.
      .value = [](int, std::int64_t, double normal) { return 0.4 * normal; }};
}

}  // namespace

TEST_CASE("reciprocal_gated_step") {
  OpCase op = row(
      {sample_of(kPaper, false, {1, 2, 3, 2, 0, 0, 2, 2}), sample_of(kPaper, true, {2, 7, 7, 9, 0, 0, 9, 9}),
       sample_of(kPaper, false, {0, 3, 3, 2, 0, 0, 2, 2}), sample_of(kPaper, false, {1, 1, 1, 1, 0, 0, 1, 1}),
       sample_of(kPaper, false, {5, 14, 14, 8, 0, 0, 8, 8}, true)});
  const Shape x{1, 2, 4, 4};
  const auto call = [x](const auto& change) {
    return [=](const Device& d) {
      Step step;
      step.inputs.x = zeros_of(x, d);
      step.state = {zeros_of(x, d), zeros_of(x, d)};
      change(step, d);
      reciprocal_gated_step(step.inputs, step.state, step.weights, step.options);
    };
  };
  op.rejects = {
      {"no residual", call([](Step& s, const Device&) { s.options.residual_into_h = true; }),
       "reciprocal_gated_step: residual_into_h needs a residual (x [1, 2, 4, 4])"},
      {"a residual of other channels", call([](Step& s, const Device& d) {
         s.inputs.residual = zeros_of({1, 3, 4, 4}, d);
         s.options.residual_into_h = true;
       }),
       "reciprocal_gated_step: residual [1, 3, 4, 4] does not fit x [1, 2, 4, 4], expected [1, 2, 4, 4]"},
      {"feedback of another size", call([](Step& s, const Device& d) {
         s.inputs.feedback = zeros_of({1, 3, 2, 2}, d);
       }),
       "reciprocal_gated_step: feedback [1, 3, 2, 2] does not fit x [1, 2, 4, 4], expected [1, channels, 4, "
       "4]"},
      {"a cell of other channels without x_to_c", call([](Step& s, const Device& d) {
         s.state.c = zeros_of({1, 3, 4, 4}, d);
         s.options.x_into_c = true;
       }),
       "reciprocal_gated_step: x [1, 2, 4, 4] cannot be added to c [1, 3, 4, 4], which has other channels; "
       "give x_to_c"},
      {"an output of other channels without x_to_h", call([](Step& s, const Device& d) {
         s.state.h = zeros_of({1, 3, 4, 4}, d);
       }),
       "reciprocal_gated_step: x [1, 2, 4, 4] cannot be added to h [1, 3, 4, 4], which has other channels; "
       "give x_to_h"},
      {"a function whose slope needs its operand",
       call([](Step& s, const Device&) { s.options.gate = Function::abs; }),
       "reciprocal_gated_step: gate is abs, expected identity, relu, sigmoid, tanh or elu"},
      {"a depthwise kernel alone", call([](Step& s, const Device& d) {
         s.weights.h_to_c_gate.depthwise = zeros_of({2, 1, 3, 3}, d);
       }),
       "reciprocal_gated_step: depthwise_h_to_c_gate is given without h_to_c_gate"},
      {"a depthwise kernel of two channels", call([](Step& s, const Device& d) {
         s.weights.h_to_c_gate.weight = zeros_of({2, 2, 1, 1}, d);
         s.weights.h_to_c_gate.depthwise = zeros_of({2, 2, 3, 3}, d);
       }),
       "reciprocal_gated_step: depthwise_h_to_c_gate is [2, 2, 3, 3], expected [2, 1, R, S] (x [1, 2, 4, "
       "4])"},
      {"a kernel of an absent map", call([](Step& s, const Device& d) {
         s.weights.feedback = zeros_of({2, 2, 1, 1}, d);
       }),
       "reciprocal_gated_step: feedback is given without the map that it reads (x [1, 2, 4, 4])"},
      {"a bias of no convolution",
       call([](Step& s, const Device& d) { s.weights.c_gate_bias = zeros_of({2}, d); }),
       "reciprocal_gated_step: c_gate_bias is given without a convolution that it belongs to"}};
  check(op);
}

TEST_CASE("reciprocal_gated_step_shallow") {
  check(row({sample_of(kShallow, false, {1, 2, 2, 2, 1, 0, 2, 2}),
             sample_of(kShallow, true, {2, 5, 3, 9, 4, 0, 9, 9}),
             sample_of(kShallow, false, {1, 7, 7, 3, 2, 0, 3, 3})}));
}

/// Maps wider than a block, many small ones in a block, and a depthwise kernel whose rows come in two stages.
TEST_CASE("reciprocal_gated_step_median") {
  OpCase op = row({sample_of(kMedian, false, {1, 2, 2, 2, 1, 1, 1, 2}),
                   sample_of(kMedian, true, {2, 7, 7, 3, 2, 4, 5, 3}),
                   sample_of(kMedian, false, {3, 5, 3, 2, 3, 1, 9, 17}),
                   sample_of(kMedian, false, {1, 4, 70, 1, 1, 1, 1, 1}),
                   sample_of(kMedian, false, {11, 3, 3, 1, 1, 1, 9, 17}),
                   sample_of(kLargeKernel, false, {1, 3, 44, 1, 0, 0, 0, 1}),
                   sample_of(kMedian, false, {2, 14, 14, 5, 3, 4, 9, 5}, true)});
  check(op);
}

TEST_CASE("reciprocal_gated_step_everything") {
  check(row({sample_of(kEverything, false, {1, 2, 2, 1, 2, 1, 1, 2}),
             sample_of(kEverything, true, {2, 5, 3, 3, 4, 2, 5, 4}),
             sample_of(kSeparableOutput, false, {1, 2, 3, 2, 1, 2, 1, 2}),
             sample_of(kSeparableOutput, true, {2, 3, 5, 2, 3, 1, 2, 3}),
             sample_of(kOneState, false, {2, 4, 3, 2, 0, 0, 0, 3}),
             sample_of(kOneState, true, {1, 3, 5, 2, 0, 0, 0, 2})}));
}

}  // namespace fovea::test
