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

/// a + b, NumPy's broadcasting.
///
/// a, b     [...] f32 or f64, the same of both; shapes that broadcast: aligned at the right, equal or 1
/// returns  the broadcast shape
/// keeps    nothing: da = dy, db = dy, each summed over the dimensions in which it was repeated
/// throws   ShapeError with both shapes, DTypeError, DeviceError
inline Var add(const Var& a, const Var& b) {
  check_binary("add", a, b);
  Tensor y = binary_value("add", Binary::add, a.value(), b.value());
  return record("add", std::move(y), {a, b},
                [a = a.shape(), b = b.shape()](const Tensor& dy, Needs needs) -> Grads {
                  Grads d(2);
                  if (needs[0]) d[0] = sum_to("add", dy, a);
                  if (needs[1]) d[1] = sum_to("add", dy, b);
                  return d;
                });
}
inline constexpr OpInfo add_info{.name = "add", .dtypes = "f32 f64", .flops = "numel", .bytes = "12·numel"};

/// a − b; see add. da = dy, db = −dy, summed over repeated dimensions.
inline Var subtract(const Var& a, const Var& b) {
  check_binary("subtract", a, b);
  Tensor y = binary_value("subtract", Binary::subtract, a.value(), b.value());
  return record("subtract", std::move(y), {a, b},
                [a = a.shape(), b = b.shape()](const Tensor& dy, Needs needs) -> Grads {
                  Grads d(2);
                  if (needs[0]) d[0] = sum_to("subtract", dy, a);
                  if (needs[1]) d[1] = sum_to("subtract", dy, b, -1.0);
                  return d;
                });
}
inline constexpr OpInfo subtract_info{
    .name = "subtract", .dtypes = "f32 f64", .flops = "numel", .bytes = "12·numel"};

/// a·b, element by element; see add.
///
/// keeps    a and b: da = dy·b, db = dy·a, summed over repeated dimensions
inline Var multiply(const Var& a, const Var& b) {
  check_binary("multiply", a, b);
  Tensor y = binary_value("multiply", Binary::multiply, a.value(), b.value());
  return record("multiply", std::move(y), {a, b},
                [a = a.value(), b = b.value()](const Tensor& dy, Needs needs) -> Grads {
                  Grads d(2);
                  const auto times = [&](const Tensor& x) {
                    return binary_value("multiply", Binary::multiply, dy, x);
                  };
                  if (needs[0]) d[0] = sum_to("multiply", times(b), a.shape());
                  if (needs[1]) d[1] = sum_to("multiply", times(a), b.shape());
                  return d;
                });
}
inline constexpr OpInfo multiply_info{
    .name = "multiply", .dtypes = "f32 f64", .flops = "numel", .bytes = "12·numel"};

/// a/b, element by element; see add. Division by zero follows IEEE 754.
///
/// keeps    b and y: da = dy/b, db = −(dy/b)·y, summed over repeated dimensions
inline Var divide(const Var& a, const Var& b) {
  check_binary("divide", a, b);
  const Tensor y = binary_value("divide", Binary::divide, a.value(), b.value());
  return record("divide", y, {a, b},
                [a = a.shape(), b = b.value(), y](const Tensor& dy, Needs needs) -> Grads {
                  Grads d(2);
                  const Tensor da = binary_value("divide", Binary::divide, dy, b);
                  if (needs[0]) d[0] = sum_to("divide", da, a);
                  if (needs[1])
                    d[1] = sum_to("divide", binary_value("divide", Binary::multiply, da, y), b.shape(), -1.0);
                  return d;
                });
}
inline constexpr OpInfo divide_info{
    .name = "divide", .dtypes = "f32 f64", .flops = "numel", .bytes = "12·numel"};

/// scale·x + shift.
///
/// x        [...] f32 or f64
/// returns  [...]
/// keeps    nothing: dx = scale·dy
/// throws   DTypeError
inline Var affine(const Var& x, double scale, double shift) {
  check_float("affine", "x", x.value());
  const auto run = [](const Tensor& from, double by, double plus) {
    const Tensor in = from.contiguous("affine");
    Tensor out = Tensor::empty_like(in, "affine");
    on(out.queue(),
       [&](auto& q) { kernels::affine(q, in.numel(), in.dtype(), by, plus, in.raw(), out.raw()); });
    return out;
  };
  return record("affine", run(x.value(), scale, shift), {x},
                [=](const Tensor& dy, Needs) -> Grads { return {run(dy, scale, 0.0)}; });
}
inline constexpr OpInfo affine_info{
    .name = "affine", .dtypes = "f32 f64", .flops = "2·numel", .bytes = "8·numel"};

/// f(x), element by element; the functions and their slopes stand in kernels/function.h.
///
/// x        [...] f32 or f64
/// returns  [...]
/// keeps    y, or x for log, square and abs; nothing for negate: dx = dy·f'(x)
/// throws   DTypeError, naming the function as the op
/// at kinks relu and abs have slope 0 at 0
inline Var apply(Function f, const Var& x) {
  const char* const op = function_name(f);
  check_float(op, "x", x.value());
  const Tensor in = x.value().contiguous(op);
  const Tensor y = Tensor::empty_like(in, op);
  on(y.queue(), [&](auto& q) { kernels::unary(q, f, in.numel(), in.dtype(), in.raw(), y.raw()); });
  const bool linear = f == Function::negate || f == Function::identity;
  const Tensor kept = linear ? Tensor() : slope_needs_input(f) ? in : y;
  return record(op, y, {x}, [=](const Tensor& slope, Needs) -> Grads {
    const Tensor dy = slope.contiguous(op);
    const Tensor dx = Tensor::empty_like(dy, op);
    on(dx.queue(), [&](auto& q) {
      if (linear)
        kernels::unary(q, f, dy.numel(), dy.dtype(), dy.raw(), dx.raw());
      else
        kernels::unary_grad(q, f, dy.numel(), dy.dtype(), kept.raw(), kept.raw(), dy.raw(), dx.raw());
    });
    return {dx};
  });
}
/// max(x, 0)
inline Var relu(const Var& x) { return apply(Function::relu, x); }
/// log(1 + e^x), without overflow
inline Var softplus(const Var& x) { return apply(Function::softplus, x); }
/// 1/(1 + e^−x), without overflow
inline Var sigmoid(const Var& x) { return apply(Function::sigmoid, x); }
inline Var tanh(const Var& x) { return apply(Function::tanh, x); }
inline Var exp(const Var& x) { return apply(Function::exp, x); }
/// Natural logarithm.
inline Var log(const Var& x) { return apply(Function::log, x); }
inline Var sqrt(const Var& x) { return apply(Function::sqrt, x); }
inline Var square(const Var& x) { return apply(Function::square, x); }
inline Var abs(const Var& x) { return apply(Function::abs, x); }
inline Var negate(const Var& x) { return apply(Function::negate, x); }
inline constexpr OpInfo relu_info{.name = "relu", .dtypes = "f32 f64", .flops = "numel", .bytes = "8·numel"};
inline constexpr OpInfo softplus_info{
    .name = "softplus", .dtypes = "f32 f64", .flops = "~40·numel", .bytes = "8·numel"};
inline constexpr OpInfo sigmoid_info{
    .name = "sigmoid", .dtypes = "f32 f64", .flops = "~20·numel", .bytes = "8·numel"};
inline constexpr OpInfo tanh_info{
    .name = "tanh", .dtypes = "f32 f64", .flops = "~20·numel", .bytes = "8·numel"};
inline constexpr OpInfo exp_info{
    .name = "exp", .dtypes = "f32 f64", .flops = "~15·numel", .bytes = "8·numel"};
inline constexpr OpInfo log_info{
    .name = "log", .dtypes = "f32 f64", .flops = "~15·numel", .bytes = "8·numel"};
inline constexpr OpInfo sqrt_info{.name = "sqrt", .dtypes = "f32 f64", .flops = "numel", .bytes = "8·numel"};
inline constexpr OpInfo square_info{
    .name = "square", .dtypes = "f32 f64", .flops = "numel", .bytes = "8·numel"};
inline constexpr OpInfo abs_info{.name = "abs", .dtypes = "f32 f64", .flops = "numel", .bytes = "8·numel"};
inline constexpr OpInfo negate_info{
    .name = "negate", .dtypes = "f32 f64", .flops = "numel", .bytes = "8·numel"};

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
