// SPDX-License-Identifier: Apache-2.0
#pragma once

#include "autograd/op_info.h"
#include "autograd/ops/elementwise.h"
#include "autograd/tape.h"
#include "kernels/ops/where.h"
#include "tensor/views.h"

namespace fovea {

inline constexpr OpInfo where_info{.name = "where",
                                   .dtypes = "f32 f64",
                                   .signature = "mask[M...] a[A...] b[B...] -> y[n...]",
                                   .bytes = "M + E·(A + B + n)",
                                   .gradient =
                                       "da = dy where mask, else 0, db = the rest of dy, each summed "
                                       "over repeated dimensions",
                                   .gradient_flops = "da·(n - A) + db·(n - B)",
                                   .keeps = "mask"};

/// where() of tensors without a tape; any strides.
inline Tensor where_value(const char* op, const Tensor& mask, const Tensor& a, const Tensor& b) {
  const Shape shape = broadcast(op, mask.shape(), broadcast(op, a.shape(), b.shape()));
  const Tensor y = Tensor::empty(shape, a.dtype(), a.device(), op);
  const Strides operands[] = {y.strides(), expand(mask, shape).strides(), expand(a, shape).strides(),
                              expand(b, shape).strides()};
  const Strided loops = strided(shape, operands);
  on(y.queue(), [&](auto& q) {
    kernels::where(q, loops, y.dtype(), mask.data<std::uint8_t>(), a.raw(), b.raw(), y.raw());
  });
  return y;
}

/// One of two values for each element, with NumPy's broadcasting. A value that is not chosen leaves no trace,
/// nor does its slope, even if it is NaN.
///
/// formula  y = a where mask ≠ 0, else b
/// mask     [...] u8; a constant
/// a, b     [...] f32 or f64, the same of both; shapes that broadcast
/// returns  [...] the broadcast shape of all three
/// keeps    mask: da = dy where it is not 0, db = dy where it is, each summed over the dimensions in which it
///          was repeated
/// throws   ShapeError with two shapes that do not fit, DTypeError, DeviceError
/// order    repeated dimensions are summed as in sum
/// source   Harris et al. 2020, Array programming with NumPy
inline Var where(const Tensor& mask, const Var& a, const Var& b) {
  constexpr const char* op = "where";
  check_dtype(op, "mask", mask, DType::u8);
  check_same_device(op, {mask, a});
  check_binary(op, a, b);
  return record(where_info, where_value(op, mask, a.value(), b.value()), {mask, a, b}, {mask},
                [](const Tensor& dy, Needs needs, Kept kept) -> Grads {
                  const Tensor& kept_mask = kept[0];
                  const Tensor zero = Tensor::zeros({}, dy.dtype(), dy.device(), "where");
                  Grads d(3);
                  if (needs[1])
                    d[1] = sum_to("where", where_value("where", kept_mask, dy, zero), needs.input_shape(1));
                  if (needs[2])
                    d[2] = sum_to("where", where_value("where", kept_mask, zero, dy), needs.input_shape(2));
                  return d;
                });
}

}  // namespace fovea
