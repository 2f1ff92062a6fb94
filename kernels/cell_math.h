// SPDX-License-Identifier: Apache-2.0
#pragma once

#include "kernels/function.h"

/// The gate arithmetic of recurrent cells, one element at a time. Value and slope stand here once; the CPU
/// and CUDA kernels of kernels/ops/cell_update.h both call them.
namespace fovea {

/// Whether a function may stand in a cell: its slope follows from its value, and it is one of those below.
constexpr bool has_slope_from_value(Function f) {
  return f == Function::identity || f == Function::relu || f == Function::sigmoid || f == Function::tanh ||
         f == Function::elu;
}

/// f(x) where f is known at run time only; equal for all elements of a launch, so that no warp diverges.
FOVEA_HOST_DEVICE float cell_value(Function f, float x) {
  switch (f) {
    case Function::relu:
      return value_of<Function::relu>(x);
    case Function::sigmoid:
      return value_of<Function::sigmoid>(x);
    case Function::tanh:
      return value_of<Function::tanh>(x);
    case Function::elu:
      return value_of<Function::elu>(x);
    default:
      return x;
  }
}
/// f'(x), given y = f(x).
FOVEA_HOST_DEVICE float cell_slope(Function f, float y) {
  switch (f) {
    case Function::relu:
      return slope_of<Function::relu>(y, y);
    case Function::sigmoid:
      return slope_of<Function::sigmoid>(y, y);
    case Function::tanh:
      return slope_of<Function::tanh>(y, y);
    case Function::elu:
      return slope_of<Function::elu>(y, y);
    default:
      return 1.0f;
  }
}

/// Which arithmetic; gates g, inputs x and results y are those of one element.
enum class CellKind : std::uint8_t {
  decay,  ///< y = scale·x0 + x1, scale a number in memory
  reset,  ///< y = σ(g0 + shift)·x0
  blend,  ///< y = G·x0 + (1 − G)·f(g1), G = σ(g0 + shift)
  lstm,   ///< y1 = σ(g2 + shift)·x0 + σ(g0)·tanh(g1), y0 = tanh(y1)·σ(g3)
  gated,  ///< y = f((o + m·φ(g0))·x0 + (o' + m'·φ'(g1))·(g2 + φ''(g3) + x1 + x2))
};
inline constexpr int kCellGates = 4, kCellInputs = 3, kCellResults = 2;

/// The numbers and functions of a kind; those it does not name above are not read.
struct CellRule {
  Function f = Function::identity;
  Function state = Function::sigmoid, input = Function::sigmoid, feedback = Function::identity;  // φ, φ', φ''
  float state_offset = 1.0f, state_scale = -1.0f;                                                // o, m
  float input_offset = 1.0f, input_scale = -1.0f;                                                // o', m'
  float shift = 0.0f;
};

struct CellGates {
  float of[kCellGates];
};
struct CellInputs {
  float of[kCellInputs];
};
struct CellResults {
  float of[kCellResults];
};

namespace cell_math {

FOVEA_HOST_DEVICE float sigmoid(float x) { return value_of<Function::sigmoid>(x); }
FOVEA_HOST_DEVICE float tanh(float x) { return value_of<Function::tanh>(x); }

/// What both directions need of the gated kind.
struct Gated {
  float state, input, feedback;          // φ(g0), φ'(g1), φ''(g3)
  float state_gate, input_gate, source;  // o + m·φ, o' + m'·φ', the sum in the last bracket
  FOVEA_HOST_DEVICE Gated(const CellRule& rule, const CellGates& g, const CellInputs& x)
      : state(cell_value(rule.state, g.of[0])),
        input(cell_value(rule.input, g.of[1])),
        feedback(cell_value(rule.feedback, g.of[3])),
        state_gate(rule.state_offset + rule.state_scale * state),
        input_gate(rule.input_offset + rule.input_scale * input),
        source(g.of[2] + feedback + x.of[1] + x.of[2]) {}
  FOVEA_HOST_DEVICE float value(const CellRule& rule, const CellInputs& x) const {
    return cell_value(rule.f, state_gate * x.of[0] + input_gate * source);
  }
};

}  // namespace cell_math

/// The results of one element. `scale` is read by decay alone. Operands that a cell leaves out are 0.
template <CellKind kKind>
FOVEA_HOST_DEVICE CellResults cell_values(const CellRule& rule, float scale, const CellGates& g,
                                          const CellInputs& x) {
  using namespace cell_math;
  if constexpr (kKind == CellKind::decay) return {{scale * x.of[0] + x.of[1], 0.0f}};
  if constexpr (kKind == CellKind::reset) return {{sigmoid(g.of[0] + rule.shift) * x.of[0], 0.0f}};
  if constexpr (kKind == CellKind::blend) {
    const float gate = sigmoid(g.of[0] + rule.shift);
    return {{gate * x.of[0] + (1.0f - gate) * cell_value(rule.f, g.of[1]), 0.0f}};
  }
  if constexpr (kKind == CellKind::lstm) {
    const float cell = sigmoid(g.of[2] + rule.shift) * x.of[0] + sigmoid(g.of[0]) * tanh(g.of[1]);
    return {{tanh(cell) * sigmoid(g.of[3]), cell}};
  }
  if constexpr (kKind == CellKind::gated) return {{Gated(rule, g, x).value(rule, x), 0.0f}};
}

/// Slopes by gates and inputs, given those by the results; all but decay, whose slopes are products.
template <CellKind kKind>
FOVEA_HOST_DEVICE void cell_slopes(const CellRule& rule, const CellGates& g, const CellInputs& x,
                                   const CellResults& dy, CellGates& dg, CellInputs& dx) {
  using namespace cell_math;
  if constexpr (kKind == CellKind::reset) {
    const float gate = sigmoid(g.of[0] + rule.shift);
    dg.of[0] = dy.of[0] * x.of[0] * gate * (1.0f - gate);
    dx.of[0] = dy.of[0] * gate;
  }
  if constexpr (kKind == CellKind::blend) {
    const float gate = sigmoid(g.of[0] + rule.shift), candidate = cell_value(rule.f, g.of[1]);
    dg.of[0] = dy.of[0] * (x.of[0] - candidate) * gate * (1.0f - gate);
    dg.of[1] = dy.of[0] * (1.0f - gate) * cell_slope(rule.f, candidate);
    dx.of[0] = dy.of[0] * gate;
  }
  if constexpr (kKind == CellKind::lstm) {
    const float in = sigmoid(g.of[0]), candidate = tanh(g.of[1]), keep = sigmoid(g.of[2] + rule.shift),
                out = sigmoid(g.of[3]);
    const float level = tanh(keep * x.of[0] + in * candidate);
    const float dcell = dy.of[1] + dy.of[0] * out * (1.0f - level * level);
    dg.of[0] = dcell * candidate * in * (1.0f - in);
    dg.of[1] = dcell * in * (1.0f - candidate * candidate);
    dg.of[2] = dcell * x.of[0] * keep * (1.0f - keep);
    dg.of[3] = dy.of[0] * level * out * (1.0f - out);
    dx.of[0] = dcell * keep;
  }
  if constexpr (kKind == CellKind::gated) {
    const Gated cell(rule, g, x);
    const float slope = dy.of[0] * cell_slope(rule.f, cell.value(rule, x));
    const float dsource = slope * cell.input_gate;
    dg.of[0] = slope * x.of[0] * rule.state_scale * cell_slope(rule.state, cell.state);
    dg.of[1] = slope * cell.source * rule.input_scale * cell_slope(rule.input, cell.input);
    dg.of[2] = dsource;
    dg.of[3] = dsource * cell_slope(rule.feedback, cell.feedback);
    dx.of[0] = slope * cell.state_gate;
    dx.of[1] = dsource;
    dx.of[2] = dsource;
  }
}

template <CellKind kKind>
struct CellKindTag {};

/// Calls body(CellKindTag<kind>) so that a kernel is compiled once per kind.
template <class F>
void with_cell_kind(CellKind kind, F&& body) {
  switch (kind) {
    case CellKind::decay:
      return body(CellKindTag<CellKind::decay>{});
    case CellKind::reset:
      return body(CellKindTag<CellKind::reset>{});
    case CellKind::blend:
      return body(CellKindTag<CellKind::blend>{});
    case CellKind::lstm:
      return body(CellKindTag<CellKind::lstm>{});
    case CellKind::gated:
      return body(CellKindTag<CellKind::gated>{});
  }
}

}  // namespace fovea
