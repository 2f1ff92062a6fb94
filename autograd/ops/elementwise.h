// SPDX-License-Identifier: Apache-2.0
#pragma once

#include "autograd/op_info.h"
#include "autograd/ops/reduce.h"
#include "autograd/tape.h"
#include "kernels/ops/elementwise.h"
#include "tensor/views.h"

namespace fovea {

/// f(a, b) of tensors without a tape, with broadcasting; any strides.
inline Tensor binary_value(const char* op, Binary f, const Tensor& a, const Tensor& b) {
  const Shape shape = a.shape() == b.shape() ? a.shape() : broadcast(op, a.shape(), b.shape());
  const Tensor y = Tensor::empty(shape, a.dtype(), a.device(), op);
  const Strides operands[] = {y.strides(), expand(a, shape).strides(), expand(b, shape).strides()};
  const Strided loops = strided(shape, operands);
  on(y.queue(), [&](auto& q) { kernels::binary(q, f, loops, y.dtype(), a.raw(), b.raw(), y.raw()); });
  return y;
}

/// scale·dy summed over the dimensions along which an operand of `shape` was repeated.
inline Tensor sum_to(const char* op, const Tensor& dy, const Shape& shape, double scale = 1.0) {
  const int lead = dy.rank() - shape.rank();
  unsigned dims = 0;
  for (int d = 0; d < dy.rank(); ++d)
    if (d < lead || (shape[d - lead] == 1 && dy.shape()[d] != 1)) dims |= 1u << d;
  const Tensor sum = sum_dims(op, dy, dims, scale);
  return sum.shape() == shape ? sum : reshape(sum, shape);
}

/// The checks that add, subtract, multiply and divide share.
inline void check_binary(const char* op, const Var& a, const Var& b) {
  check_same_device(op, {a, b});
  check_float(op, "a", a.value());
  check_float(op, "b", b.value());
  if (a.value().dtype() != b.value().dtype())
    reject<DTypeError>(op, "a {} is {}, b {} is {}; convert one of them with to()", a.shape(),
                       dtype_name(a.value().dtype()), b.shape(), dtype_name(b.value().dtype()));
}

inline constexpr OpInfo add_info{.name = "add",
                                 .dtypes = "f32 f64",
                                 .signature = "a[A...] b[B...] -> y[n...]",
                                 .flops = "n",
                                 .bytes = "E·(A + B + n)",
                                 .gradient = "da = dy, db = dy, summed over repeated dimensions",
                                 .gradient_flops = "da·(n - A) + db·(n - B)"};

/// Sum, element by element, with NumPy's broadcasting: shapes are aligned at the right, and extents are equal
/// or 1.
///
/// formula  y = a + b
/// a, b     [...] f32 or f64, the same of both; shapes that broadcast
/// returns  [...] the broadcast shape
/// keeps    nothing: da = dy, db = dy, each summed over the dimensions in which it was repeated
/// throws   ShapeError with both shapes, DTypeError, DeviceError
/// order    one rounding per element; repeated dimensions are summed as in sum
/// source   IEEE 754; broadcasting: Harris et al. 2020, Array programming with NumPy
inline Var add(const Var& a, const Var& b) {
  check_binary("add", a, b);
  Tensor y = binary_value("add", Binary::add, a.value(), b.value());
  return record(add_info, std::move(y), {a, b}, {},
                [a = a.shape(), b = b.shape()](const Tensor& dy, Needs needs, Kept) -> Grads {
                  Grads d(2);
                  if (needs[0]) d[0] = sum_to("add", dy, a);
                  if (needs[1]) d[1] = sum_to("add", dy, b);
                  return d;
                });
}

inline constexpr OpInfo subtract_info{.name = "subtract",
                                      .dtypes = "f32 f64",
                                      .signature = "a[A...] b[B...] -> y[n...]",
                                      .flops = "n",
                                      .bytes = "E·(A + B + n)",
                                      .gradient = "da = dy, db = −dy, summed over repeated dimensions",
                                      .gradient_flops = "da·(n - A) + db·n"};

/// Difference, element by element; see add.
///
/// formula  y = a − b
/// keeps    nothing: da = dy, db = −dy, summed over repeated dimensions
inline Var subtract(const Var& a, const Var& b) {
  check_binary("subtract", a, b);
  Tensor y = binary_value("subtract", Binary::subtract, a.value(), b.value());
  return record(subtract_info, std::move(y), {a, b}, {},
                [a = a.shape(), b = b.shape()](const Tensor& dy, Needs needs, Kept) -> Grads {
                  Grads d(2);
                  if (needs[0]) d[0] = sum_to("subtract", dy, a);
                  if (needs[1]) d[1] = sum_to("subtract", dy, b, -1.0);
                  return d;
                });
}

inline constexpr OpInfo multiply_info{.name = "multiply",
                                      .dtypes = "f32 f64",
                                      .signature = "a[A...] b[B...] -> y[n...]",
                                      .flops = "n",
                                      .bytes = "E·(A + B + n)",
                                      .gradient = "da = dy·b, db = dy·a, summed over repeated dimensions",
                                      .gradient_flops = "da·(2·n - A) + db·(2·n - B)",
                                      .keeps = "a b"};

/// Product, element by element; see add.
///
/// formula  y = a·b
/// keeps    a and b: da = dy·b, db = dy·a, summed over repeated dimensions
inline Var multiply(const Var& a, const Var& b) {
  check_binary("multiply", a, b);
  Tensor y = binary_value("multiply", Binary::multiply, a.value(), b.value());
  return record(multiply_info, std::move(y), {a, b}, {a.value(), b.value()},
                [](const Tensor& dy, Needs needs, Kept kept) -> Grads {
                  const Tensor &kept_a = kept[0], &kept_b = kept[1];
                  Grads d(2);
                  const auto times = [&](const Tensor& x) {
                    return binary_value("multiply", Binary::multiply, dy, x);
                  };
                  if (needs[0]) d[0] = sum_to("multiply", times(kept_b), kept_a.shape());
                  if (needs[1]) d[1] = sum_to("multiply", times(kept_a), kept_b.shape());
                  return d;
                });
}

inline constexpr OpInfo divide_info{.name = "divide",
                                    .dtypes = "f32 f64",
                                    .signature = "a[A...] b[B...] -> y[n...]",
                                    .flops = "n",
                                    .bytes = "E·(A + B + n)",
                                    .gradient = "da = dy/b, db = −(dy/b)·y, summed over repeated dimensions",
                                    .gradient_flops = "n + da·(n - A) + db·2·n",
                                    .keeps = "b y"};

/// Quotient, element by element; see add. Division by zero follows IEEE 754.
///
/// formula  y = a/b
/// keeps    b and y: da = dy/b, db = −(dy/b)·y, summed over repeated dimensions
inline Var divide(const Var& a, const Var& b) {
  check_binary("divide", a, b);
  const Tensor y = binary_value("divide", Binary::divide, a.value(), b.value());
  return record(divide_info, y, {a, b}, {b.value(), y},
                [a = a.shape()](const Tensor& dy, Needs needs, Kept kept) -> Grads {
                  const Tensor &kept_b = kept[0], &kept_y = kept[1];
                  Grads d(2);
                  const Tensor da = binary_value("divide", Binary::divide, dy, kept_b);
                  if (needs[0]) d[0] = sum_to("divide", da, a);
                  if (needs[1])
                    d[1] = sum_to("divide", binary_value("divide", Binary::multiply, da, kept_y),
                                  kept_b.shape(), -1.0);
                  return d;
                });
}

inline constexpr OpInfo affine_info{.name = "affine",
                                    .dtypes = "f32 f64",
                                    .signature = "x[n...] -> y[n...]",
                                    .flops = "2·n",
                                    .bytes = "E·2·n",
                                    .gradient = "dx = scale·dy",
                                    .gradient_flops = "2·n"};

/// Scale and shift by plain numbers.
///
/// formula  y = scale·x + shift
/// x        [...] f32 or f64
/// scale, shift  any numbers; rounded to x's type
/// returns  [...]
/// keeps    nothing: dx = scale·dy
/// throws   DTypeError
/// order    each element by itself
/// source   IEEE 754
inline Var affine(const Var& x, double scale, double shift) {
  check_float("affine", "x", x.value());
  const auto run = [](const Tensor& from, double by, double plus) {
    const Tensor in = from.contiguous("affine");
    Tensor out = Tensor::empty_like(in, "affine");
    on(out.queue(),
       [&](auto& q) { kernels::affine(q, in.numel(), in.dtype(), by, plus, in.raw(), out.raw()); });
    return out;
  };
  return record(affine_info, run(x.value(), scale, shift), {x}, {},
                [=](const Tensor& dy, Needs, Kept) -> Grads { return {run(dy, scale, 0.0)}; });
}

/// What the functions of one operand have in common.
constexpr OpInfo unary_op(Function f, std::string_view flops, std::string_view gradient,
                          std::string_view gradient_flops) {
  return {.name = function_name(f),
          .dtypes = "f32 f64",
          .signature = "x[n...] -> y[n...]",
          .flops = flops,
          .bytes = "E·2·n",
          .gradient = gradient,
          .gradient_flops = gradient_flops,
          .keeps = f == Function::negate  ? ""
                   : slope_needs_input(f) ? "x"
                                          : "y"};
}
inline constexpr OpInfo relu_info = unary_op(Function::relu, "n", "dx = dy where y > 0, else 0", "n");
inline constexpr OpInfo softplus_info = unary_op(Function::softplus, "40·n", "dx = dy·(1 − e^−y)", "20·n");
inline constexpr OpInfo sigmoid_info = unary_op(Function::sigmoid, "20·n", "dx = dy·y·(1 − y)", "3·n");
inline constexpr OpInfo tanh_info = unary_op(Function::tanh, "20·n", "dx = dy·(1 − y²)", "3·n");
inline constexpr OpInfo elu_info =
    unary_op(Function::elu, "20·n", "dx = dy where y > 0, else dy·(y + 1)", "2·n");
inline constexpr OpInfo exp_info = unary_op(Function::exp, "15·n", "dx = dy·y", "n");
inline constexpr OpInfo log_info = unary_op(Function::log, "15·n", "dx = dy/x", "2·n");
inline constexpr OpInfo sqrt_info = unary_op(Function::sqrt, "n", "dx = dy/(2·y)", "2·n");
inline constexpr OpInfo square_info = unary_op(Function::square, "n", "dx = dy·2·x", "2·n");
inline constexpr OpInfo abs_info = unary_op(Function::abs, "n", "dx = dy·sign(x)", "n");
inline constexpr OpInfo negate_info = unary_op(Function::negate, "n", "dx = −dy", "n");

/// throws ValueError for identity, which nothing has to be recorded for
constexpr const OpInfo& info_of(Function f) {
  switch (f) {
    case Function::relu:
      return relu_info;
    case Function::softplus:
      return softplus_info;
    case Function::sigmoid:
      return sigmoid_info;
    case Function::tanh:
      return tanh_info;
    case Function::elu:
      return elu_info;
    case Function::exp:
      return exp_info;
    case Function::log:
      return log_info;
    case Function::sqrt:
      return sqrt_info;
    case Function::square:
      return square_info;
    case Function::abs:
      return abs_info;
    case Function::negate:
      return negate_info;
    case Function::identity:
      break;
  }
  reject<ValueError>(
      "apply", "identity is not an op: use its operand");  // untested: no caller of apply() names identity
}

/// A function of one variable, element by element; the functions and their slopes stand in
/// kernels/function.h.
///
/// formula  y = f(x)
/// f        which function
/// x        [...] f32 or f64
/// returns  [...]
/// keeps    y, or x for log, square and abs; nothing for negate: dx = dy·f'(x)
/// throws   DTypeError, naming the function as the op
/// order    each element by itself, within the ulps that its row in tests/ops/elementwise.cpp states
/// source   elementary
///
/// relu and abs have slope 0 at 0.
inline Var apply(Function f, const Var& x) {
  const OpInfo& info = info_of(f);
  const char* const op = info.name;
  check_float(op, "x", x.value());
  const Tensor in = x.value().contiguous(op);
  const Tensor y = Tensor::empty_like(in, op);
  on(y.queue(), [&](auto& q) { kernels::unary(q, f, in.numel(), in.dtype(), in.raw(), y.raw()); });
  if (f == Function::negate)
    return record(info, y, {x}, {}, [](const Tensor& dy, Needs, Kept) -> Grads {
      return {apply(Function::negate, Var(dy)).value()};
    });
  return record(info, y, {x}, {slope_needs_input(f) ? in : y},
                [=](const Tensor& slope, Needs, Kept kept) -> Grads {
                  const Tensor dy = slope.contiguous(op);
                  const Tensor dx = Tensor::empty_like(dy, op);
                  const void* known = kept[0].raw();
                  on(dx.queue(), [&](auto& q) {
                    kernels::unary_grad(q, f, dy.numel(), dy.dtype(), known, known, dy.raw(), dx.raw());
                  });
                  return {dx};
                });
}
/// Rectified linear unit; see apply. Slope 0 at 0; NaN stays NaN.
///
/// formula  y = max(x, 0)
/// source   Nair and Hinton 2010, Rectified linear units improve restricted Boltzmann machines
inline Var relu(const Var& x) { return apply(Function::relu, x); }
/// Smooth rectifier, without overflow: max(x, 0) + log1p(e^−|x|); see apply.
///
/// formula  y = log(1 + e^x)
/// source   Dugas et al. 2001, Incorporating second-order functional knowledge
inline Var softplus(const Var& x) { return apply(Function::softplus, x); }
/// Logistic function, without overflow; see apply.
///
/// formula  y = 1/(1 + e^−x)
/// source   Verhulst 1845 (the logistic function)
inline Var sigmoid(const Var& x) { return apply(Function::sigmoid, x); }
/// Hyperbolic tangent; see apply.
///
/// formula  y = (e^x − e^−x)/(e^x + e^−x)
inline Var tanh(const Var& x) { return apply(Function::tanh, x); }
/// Exponential linear unit, α = 1; see apply. The slope is continuous at 0.
///
/// formula  y = x where x > 0, else e^x − 1
/// source   Clevert, Unterthiner, Hochreiter 2016, Fast and accurate deep network learning by ELUs
inline Var elu(const Var& x) { return apply(Function::elu, x); }
/// Exponential function; see apply.
///
/// formula  y = e^x
inline Var exp(const Var& x) { return apply(Function::exp, x); }
/// Natural logarithm; see apply. −∞ at 0, NaN below.
///
/// formula  y = log(x)
inline Var log(const Var& x) { return apply(Function::log, x); }
/// Square root; see apply. The slope at 0 is +∞.
///
/// formula  y = √x
inline Var sqrt(const Var& x) { return apply(Function::sqrt, x); }
/// Square; see apply.
///
/// formula  y = x²
inline Var square(const Var& x) { return apply(Function::square, x); }
/// Absolute value; see apply. Slope 0 at 0.
///
/// formula  y = |x|
inline Var abs(const Var& x) { return apply(Function::abs, x); }
/// The other sign; see apply.
///
/// formula  y = −x
inline Var negate(const Var& x) { return apply(Function::negate, x); }

inline Var operator+(const Var& a, const Var& b) { return add(a, b); }
inline Var operator-(const Var& a, const Var& b) { return subtract(a, b); }
inline Var operator*(const Var& a, const Var& b) { return multiply(a, b); }
inline Var operator/(const Var& a, const Var& b) { return divide(a, b); }
inline Var operator-(const Var& x) { return negate(x); }
inline Var operator+(const Var& x, double shift) { return affine(x, 1.0, shift); }
inline Var operator+(double shift, const Var& x) { return affine(x, 1.0, shift); }
inline Var operator-(const Var& x, double shift) { return affine(x, 1.0, -shift); }
inline Var operator-(double shift, const Var& x) { return affine(x, -1.0, shift); }
inline Var operator*(const Var& x, double scale) { return affine(x, scale, 0.0); }
inline Var operator*(double scale, const Var& x) { return affine(x, scale, 0.0); }
inline Var operator/(const Var& x, double divisor) { return affine(x, 1.0 / divisor, 0.0); }

}  // namespace fovea
