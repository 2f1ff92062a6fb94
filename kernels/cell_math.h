// SPDX-License-Identifier: Apache-2.0
#pragma once

#include "kernels/function.h"

/// The gate arithmetic of recurrent cells, element by element. Value and slope stand here once; the CPU
/// and CUDA kernels of kernels/ops/cell_update.h both call them.
namespace fovea {

/// Whether a function may stand in a cell: its slope follows from its value, and it is one of those below.
constexpr bool has_slope_from_value(Function f) {
  return f == Function::identity || f == Function::relu || f == Function::sigmoid || f == Function::tanh ||
         f == Function::elu;
}

/// The functions on a type of number: float here, several floats at once in kernels/cpu/cell_vec.h.
template <class T>
struct CellNumber;

template <>
struct CellNumber<float> {
  FOVEA_HOST_DEVICE static float all(float x) { return x; }
  FOVEA_HOST_DEVICE static float sigmoid(float x) { return value_of<Function::sigmoid>(x); }
  FOVEA_HOST_DEVICE static float tanh(float x) { return value_of<Function::tanh>(x); }
  FOVEA_HOST_DEVICE static float relu(float x) { return value_of<Function::relu>(x); }
  FOVEA_HOST_DEVICE static float elu(float x) { return value_of<Function::elu>(x); }
  FOVEA_HOST_DEVICE static float relu_slope(float y) { return slope_of<Function::relu>(y, y); }
  FOVEA_HOST_DEVICE static float elu_slope(float y) { return slope_of<Function::elu>(y, y); }
};

/// f(x) where f is known at run time only; equal for all elements of a launch, so that no warp diverges.
template <class T>
FOVEA_HOST_DEVICE T cell_value(Function f, T x) {
  switch (f) {
    case Function::relu:
      return CellNumber<T>::relu(x);
    case Function::sigmoid:
      return CellNumber<T>::sigmoid(x);
    case Function::tanh:
      return CellNumber<T>::tanh(x);
    case Function::elu:
      return CellNumber<T>::elu(x);
    default:
      return x;
  }
}
/// f'(x), given y = f(x).
template <class T>
FOVEA_HOST_DEVICE T cell_slope(Function f, T y) {
  const T one = CellNumber<T>::all(1.0f);
  switch (f) {
    case Function::relu:
      return CellNumber<T>::relu_slope(y);
    case Function::sigmoid:
      return y * (one - y);
    case Function::tanh:
      return one - y * y;
    case Function::elu:
      return CellNumber<T>::elu_slope(y);
    default:
      return one;
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

template <class T>
struct CellGates {
  T of[kCellGates];
};
template <class T>
struct CellInputs {
  T of[kCellInputs];
};
template <class T>
struct CellResults {
  T of[kCellResults];
};

/// What both directions need of the gated kind.
template <class T>
struct GatedCell {
  T state, input, feedback;          // φ(g0), φ'(g1), φ''(g3)
  T state_gate, input_gate, source;  // o + m·φ, o' + m'·φ', the sum in the last bracket
  FOVEA_HOST_DEVICE GatedCell(const CellRule& rule, const CellGates<T>& g, const CellInputs<T>& x)
      : state(cell_value(rule.state, g.of[0])),
        input(cell_value(rule.input, g.of[1])),
        feedback(cell_value(rule.feedback, g.of[3])),
        state_gate(CellNumber<T>::all(rule.state_offset) + CellNumber<T>::all(rule.state_scale) * state),
        input_gate(CellNumber<T>::all(rule.input_offset) + CellNumber<T>::all(rule.input_scale) * input),
        source(g.of[2] + feedback + x.of[1] + x.of[2]) {}
  FOVEA_HOST_DEVICE T value(const CellRule& rule, const CellInputs<T>& x) const {
    return cell_value(rule.f, state_gate * x.of[0] + input_gate * source);
  }
};

/// The results of one element. `scale` is read by decay alone. Operands that a cell leaves out are 0.
template <CellKind kKind, class T>
FOVEA_HOST_DEVICE CellResults<T> cell_values(const CellRule& rule, float scale, const CellGates<T>& g,
                                             const CellInputs<T>& x) {
  using Number = CellNumber<T>;
  const T zero = Number::all(0.0f), one = Number::all(1.0f), shift = Number::all(rule.shift);
  if constexpr (kKind == CellKind::decay) return {{Number::all(scale) * x.of[0] + x.of[1], zero}};
  if constexpr (kKind == CellKind::reset) return {{Number::sigmoid(g.of[0] + shift) * x.of[0], zero}};
  if constexpr (kKind == CellKind::blend) {
    const T gate = Number::sigmoid(g.of[0] + shift);
    return {{gate * x.of[0] + (one - gate) * cell_value(rule.f, g.of[1]), zero}};
  }
  if constexpr (kKind == CellKind::lstm) {
    const T cell =
        Number::sigmoid(g.of[2] + shift) * x.of[0] + Number::sigmoid(g.of[0]) * Number::tanh(g.of[1]);
    return {{Number::tanh(cell) * Number::sigmoid(g.of[3]), cell}};
  }
  if constexpr (kKind == CellKind::gated) return {{GatedCell<T>(rule, g, x).value(rule, x), zero}};
}

/// Slopes by gates and inputs, given those by the results; all but decay, whose slopes are products.
template <CellKind kKind, class T>
FOVEA_HOST_DEVICE void cell_slopes(const CellRule& rule, const CellGates<T>& g, const CellInputs<T>& x,
                                   const CellResults<T>& dy, CellGates<T>& dg, CellInputs<T>& dx) {
  using Number = CellNumber<T>;
  const T one = Number::all(1.0f), shift = Number::all(rule.shift);
  if constexpr (kKind == CellKind::reset) {
    const T gate = Number::sigmoid(g.of[0] + shift);
    dg.of[0] = dy.of[0] * x.of[0] * gate * (one - gate);
    dx.of[0] = dy.of[0] * gate;
  }
  if constexpr (kKind == CellKind::blend) {
    const T gate = Number::sigmoid(g.of[0] + shift), candidate = cell_value(rule.f, g.of[1]);
    dg.of[0] = dy.of[0] * (x.of[0] - candidate) * gate * (one - gate);
    dg.of[1] = dy.of[0] * (one - gate) * cell_slope(rule.f, candidate);
    dx.of[0] = dy.of[0] * gate;
  }
  if constexpr (kKind == CellKind::lstm) {
    const T in = Number::sigmoid(g.of[0]), candidate = Number::tanh(g.of[1]),
            keep = Number::sigmoid(g.of[2] + shift), out = Number::sigmoid(g.of[3]);
    const T level = Number::tanh(keep * x.of[0] + in * candidate);
    const T dcell = dy.of[1] + dy.of[0] * out * (one - level * level);
    dg.of[0] = dcell * candidate * in * (one - in);
    dg.of[1] = dcell * in * (one - candidate * candidate);
    dg.of[2] = dcell * x.of[0] * keep * (one - keep);
    dg.of[3] = dy.of[0] * level * out * (one - out);
    dx.of[0] = dcell * keep;
  }
  if constexpr (kKind == CellKind::gated) {
    const GatedCell<T> cell(rule, g, x);
    const T slope = dy.of[0] * cell_slope(rule.f, cell.value(rule, x));
    const T dsource = slope * cell.input_gate;
    dg.of[0] = slope * x.of[0] * Number::all(rule.state_scale) * cell_slope(rule.state, cell.state);
    dg.of[1] = slope * cell.source * Number::all(rule.input_scale) * cell_slope(rule.input, cell.input);
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
