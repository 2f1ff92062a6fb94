// SPDX-License-Identifier: Apache-2.0
#include "autograd/ops/conv_rnn_reciprocal.h"

#include <doctest/doctest.h>

#include "tests/ops/conv_rnn_reference.h"

namespace fovea::test {
namespace {

using namespace conv_rnn;

/// The forms of the cell that the samples name by params[0].
enum Form { kPaper, kShallow, kMedian, kEverything, kOneState, kLargeKernel };

struct Given {
  int operand;  // in the order of the record
  Shape shape;
};

/// Which operands a form has; X, Q, F, C, D channels.
struct Sizes {
  std::int64_t n, h, w, x, q, f, c, d;
};
std::vector<Given> operands_of(Form form, const Sizes& s) {
  std::vector<Given> given;
  const auto map = [&](int operand, std::int64_t channels) {
    given.push_back({operand, {s.n, channels, s.h, s.w}});
  };
  const auto kernel = [&](const char* name, std::int64_t rows, std::int64_t columns) {
    for (std::size_t k = 0; k < kReciprocalKernels.size(); ++k) {
      if (std::string(kReciprocalKernels[k].name) != name) continue;
      const std::int64_t in[] = {s.x, s.q, s.f, s.c, s.d};
      const int slab = kReciprocalKernels[k].slab;
      const bool of_c = slab < kDecayH || (slab == kFeedback && form == kEverything);
      given.push_back({kFirstKernel + static_cast<int>(k),
                       {of_c ? s.c : s.d, in[kReciprocalKernels[k].source], rows, columns}});
    }
  };
  const auto depthwise = [&](int which, std::int64_t channels, std::int64_t size) {
    given.push_back({kFirstDepthwise + which, {channels, 1, size, size}});
  };
  map(kX, s.x);
  if (form == kShallow || form == kMedian || form == kEverything) map(kResidual, s.q);
  if (form == kMedian || form == kEverything) map(kFeedbackMap, s.f);
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
    kernel("c_to_c_decay", 1, 1);
    kernel("h_to_c_gate", 1, 1);
    kernel("x_to_c", 2, 2);
    kernel("h_to_h_decay", 1, 1);
    kernel("c_to_h_gate", 1, 1);
    kernel("x_to_h", 3, 3);
    kernel("residual_to_h", 1, 1);
    kernel("feedback", 1, 1);
    depthwise(0, s.c, 7);
    depthwise(1, s.d, 7);
    depthwise(2, s.d, 4);
    depthwise(3, s.c, 3);
    for (int b = 0; b < kReciprocalSlabs; ++b) given.push_back({kFirstBias + b, {b < kDecayH ? s.c : s.d}});
  }
  if (form == kEverything) {
    for (const ReciprocalKernel& one : kReciprocalKernels) kernel(one.name, 2, 3);
    for (const int b : {0, 6}) given.push_back({kFirstBias + b, {s.c}});
  }
  if (form == kLargeKernel) depthwise(2, s.d, 61);
  if (form == kOneState || form == kLargeKernel) {
    kernel("h_to_h_decay", 3, 3);
    kernel("x_to_h", 3, 3);
  }
  std::stable_sort(given.begin(), given.end(),
                   [](const Given& a, const Given& b) { return a.operand < b.operand; });
  return given;
}

ReciprocalOptions options_of(Form form, bool keep) {
  ReciprocalOptions o;
  o.keep_gates = keep;
  o.x_into_c = form == kPaper;
  o.x_into_h = form == kPaper || form == kShallow;
  if (form == kMedian || form == kEverything || form == kOneState || form == kLargeKernel) {
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

struct Step {
  ReciprocalInputs inputs;
  ReciprocalState state;
  ReciprocalWeights weights;
  ReciprocalOptions options;
};
Step step_of(std::span<const Var> in, const Sample& sample) {
  Step step;
  step.options = options_of(form_of(sample), sample.params[1] != 0);
  const auto given = operands_of(form_of(sample), sizes_of(sample));
  std::vector<Var> all(kReciprocalOperands);
  for (std::size_t k = 0; k < given.size(); ++k) all[static_cast<std::size_t>(given[k].operand)] = in[k];
  step.inputs = {all[kX], all[kResidual], all[kFeedbackMap]};
  step.state = {all[kC], all[kH]};
  std::size_t depthwise = kFirstDepthwise;
  for (std::size_t k = 0; k < kReciprocalKernels.size(); ++k) {
    step.weights.*kReciprocalKernels[k].weight = all[kFirstKernel + k];
    if (kReciprocalKernels[k].depthwise != nullptr)
      step.weights.*kReciprocalKernels[k].depthwise = all[depthwise++];
  }
  for (std::size_t b = 0; b < kReciprocalSlabs; ++b)
    step.weights.*kReciprocalBiases[b].bias = all[kFirstBias + b];
  return step;
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
    std::size_t depthwise = kFirstDepthwise;
    for (std::size_t k = 0; k < kReciprocalKernels.size(); ++k) {
      const std::size_t weight = kFirstKernel + k;
      const auto source = static_cast<std::size_t>(kReciprocalKernels[k].source);
      const std::size_t before = kReciprocalKernels[k].depthwise != nullptr ? depthwise++ : 0;
      if (kReciprocalKernels[k].slab != slab || value[weight] == nullptr) continue;
      if (before != 0 && value[before] != nullptr) {
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
    const bool fed = value[kFirstKernel + 14] != nullptr && o.feedback_to_c == (p == 0);
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
            const Step step = step_of(in, sample);
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
         s.weights.depthwise_h_to_c_gate = zeros_of({2, 1, 3, 3}, d);
       }),
       "reciprocal_gated_step: depthwise_h_to_c_gate is given without h_to_c_gate"},
      {"a depthwise kernel of two channels", call([](Step& s, const Device& d) {
         s.weights.h_to_c_gate = zeros_of({2, 2, 1, 1}, d);
         s.weights.depthwise_h_to_c_gate = zeros_of({2, 2, 3, 3}, d);
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
             sample_of(kOneState, false, {2, 4, 3, 2, 0, 0, 0, 3}),
             sample_of(kOneState, true, {1, 3, 5, 2, 0, 0, 0, 2})}));
}

}  // namespace fovea::test
