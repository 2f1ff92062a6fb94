// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cmath>
#include <cstdint>

#include "kernels/host_device.h"

namespace fovea {

/// Pointwise functions of one variable. Value and slope stand here once; the CPU and CUDA kernels both call
/// them. Those with an exponential have vector forms besides, for the CPU (kernels/cpu/vec_function.h).
enum class Function : std::uint8_t {
  identity,
  negate,
  exp,
  log,
  sqrt,
  square,
  abs,
  relu,
  softplus,  ///< log(1 + e^x), computed as max(x, 0) + log1p(e^-|x|)
  sigmoid,
  tanh,
  elu,  ///< x above 0, e^x − 1 below
};

constexpr const char* function_name(Function f) {
  switch (f) {
    case Function::identity:
      return "identity";
    case Function::negate:
      return "negate";
    case Function::exp:
      return "exp";
    case Function::log:
      return "log";
    case Function::sqrt:
      return "sqrt";
    case Function::square:
      return "square";
    case Function::abs:
      return "abs";
    case Function::relu:
      return "relu";
    case Function::softplus:
      return "softplus";
    case Function::sigmoid:
      return "sigmoid";
    case Function::tanh:
      return "tanh";
    case Function::elu:
      return "elu";
  }
  return "?";
}

/// f(x) for T = float or double.
template <Function f, class T>
FOVEA_HOST_DEVICE T value_of(T x) {
  using std::exp, std::expm1, std::fabs, std::log, std::log1p, std::sqrt, std::tanh;
  if constexpr (f == Function::identity) return x;
  if constexpr (f == Function::negate) return -x;
  if constexpr (f == Function::exp) return exp(x);
  if constexpr (f == Function::log) return log(x);
  if constexpr (f == Function::sqrt) return sqrt(x);
  if constexpr (f == Function::square) return x * x;
  if constexpr (f == Function::abs) return fabs(x);
  if constexpr (f == Function::relu) return x < T(0) ? T(0) : x;  // NaN stays NaN
  if constexpr (f == Function::softplus) return (x > T(0) ? x : T(0)) + log1p(exp(-fabs(x)));
  if constexpr (f == Function::sigmoid) {
    const T e = exp(-fabs(x));  // never overflows
    return (x >= T(0) ? T(1) : e) / (T(1) + e);
  }
  if constexpr (f == Function::tanh) return tanh(x);
  if constexpr (f == Function::elu) return x > T(0) ? x : expm1(x);
}

/// Whether slope_of reads x; otherwise the result alone is enough and the input need not be kept.
constexpr bool slope_needs_input(Function f) {
  return f == Function::log || f == Function::square || f == Function::abs;
}

/// f'(x), given x and y = f(x). Only the one that slope_needs_input names is read.
template <Function f, class T>
FOVEA_HOST_DEVICE T slope_of(T x, T y) {
  using std::expm1;
  (void)x;
  (void)y;
  if constexpr (f == Function::identity) return T(1);
  if constexpr (f == Function::negate) return T(-1);
  if constexpr (f == Function::exp) return y;
  if constexpr (f == Function::log) return T(1) / x;
  if constexpr (f == Function::sqrt) return T(0.5) / y;
  if constexpr (f == Function::square) return T(2) * x;
  if constexpr (f == Function::abs) return x > T(0) ? T(1) : (x < T(0) ? T(-1) : T(0));
  if constexpr (f == Function::relu) return y > T(0) ? T(1) : T(0);
  if constexpr (f == Function::softplus) return -expm1(-y);  // sigmoid(x) = 1 - e^-softplus(x)
  if constexpr (f == Function::sigmoid) return y * (T(1) - y);
  if constexpr (f == Function::tanh) return T(1) - y * y;
  if constexpr (f == Function::elu) return y > T(0) ? T(1) : y + T(1);
}

template <Function f>
struct FunctionTag {};

/// Calls body(FunctionTag<f>) so that a kernel is compiled once per function.
template <class F>
void with_function(Function f, F&& body) {
  switch (f) {
    case Function::identity:
      return body(FunctionTag<Function::identity>{});
    case Function::negate:
      return body(FunctionTag<Function::negate>{});
    case Function::exp:
      return body(FunctionTag<Function::exp>{});
    case Function::log:
      return body(FunctionTag<Function::log>{});
    case Function::sqrt:
      return body(FunctionTag<Function::sqrt>{});
    case Function::square:
      return body(FunctionTag<Function::square>{});
    case Function::abs:
      return body(FunctionTag<Function::abs>{});
    case Function::relu:
      return body(FunctionTag<Function::relu>{});
    case Function::softplus:
      return body(FunctionTag<Function::softplus>{});
    case Function::sigmoid:
      return body(FunctionTag<Function::sigmoid>{});
    case Function::tanh:
      return body(FunctionTag<Function::tanh>{});
    case Function::elu:
      return body(FunctionTag<Function::elu>{});
  }
}

}  // namespace fovea
