// SPDX-License-Identifier: Apache-2.0
#pragma once

#include "kernels/cell_math.h"
#include "kernels/cpu/vec_exp.h"

namespace fovea::cpu {
namespace {

/// `yes` where x is above 0, else `no`; `no` for NaN.
[[maybe_unused]] Vec where_positive(Vec x, Vec yes, Vec no) {
  const VecBits bits = bits_of(x), mask = (bits > 0) & (bits <= 0x7f800000);  // up to +∞; NaN has more
  return vec_of((bits_of(yes) & mask) | (bits_of(no) & ~mask));
}

}  // namespace
}  // namespace fovea::cpu

namespace fovea {

/// The functions of a cell on the lanes of a vector.
template <>
struct CellNumber<cpu::Vec> {
  using Vec = cpu::Vec;
  static Vec all(float x) { return Vec::all(x); }
  static Vec sigmoid(Vec x) { return cpu::logistic(x); }
  static Vec tanh(Vec x) { return cpu::hyperbolic(x); }
  static Vec relu(Vec x) { return max(Vec::zero(), x); }  // NaN stays NaN
  static Vec elu(Vec x) { return cpu::where_positive(x, x, cpu::expm1_below_zero(x)); }
  static Vec relu_slope(Vec y) { return cpu::where_positive(y, all(1.0f), Vec::zero()); }
  static Vec elu_slope(Vec y) { return cpu::where_positive(y, all(1.0f), y + all(1.0f)); }
};

}  // namespace fovea
