// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <initializer_list>

#include "autograd/op_info.h"
#include "autograd/tape.h"
#include "kernels/ops/elementwise.h"
#include "kernels/ops/reduce.h"
#include "tensor/views.h"

namespace fovea {

/// throws DTypeError naming op and operand unless x is f32 or f64
inline void check_float(const char* op, const char* operand, const Tensor& x) {
  if (x.dtype() != DType::f32 && x.dtype() != DType::f64)
    reject<DTypeError>(op, "{} {} is {}, expected f32 or f64; convert it with to()", operand, x.shape(),
                       dtype_name(x.dtype()));
}

/// scale·(sum of x over the dimensions whose bit in `dims` is set), each kept with extent 1. Adjacent
/// dimensions are summed in one pass, the last ones first: they shrink the data most cheaply. If no extent
/// is above 1 and scale is 1 the result is a view of x.
inline Tensor sum_dims(const char* op, const Tensor& x, unsigned dims, double scale = 1.0) {
  const auto summed = [&](int d) { return (dims >> d & 1u) != 0; };
  Tensor y = x.contiguous(op);
  int end = x.rank();
  while (end > 0) {
    if (!summed(end - 1) || y.shape()[end - 1] == 1) {
      --end;
      continue;
    }
    int begin = end;
    Shape shape = y.shape();
    Reduce loops;
    while (begin > 0 && summed(begin - 1)) {
      loops.width *= shape[--begin];
      shape[begin] = 1;
    }
    for (int d = 0; d < begin; ++d) loops.outer *= shape[d];
    for (int d = end; d < shape.rank(); ++d) loops.inner *= shape[d];
    const Tensor from = y;
    y = Tensor::empty(shape, x.dtype(), x.device(), op);
    on(y.queue(), [&](auto& q) { kernels::reduce_sum(q, loops, y.dtype(), scale, from.raw(), y.raw()); });
    scale = 1.0;
    end = begin;
  }
  if (scale == 1.0) return y;
  const Tensor scaled = Tensor::empty_like(y, op);
  on(y.queue(),
     [&](auto& q) { kernels::affine(q, y.numel(), y.dtype(), scale, 0.0, y.raw(), scaled.raw()); });
  return scaled;
}

inline constexpr OpInfo sum_info{.name = "sum",
                                 .dtypes = "f32 f64",
                                 .signature = "x[n...] -> y[m...]",
                                 .flops = "n",
                                 .bytes = "E·(n + m)",
                                 .gradient = "dx = dy, repeated"};
inline constexpr OpInfo mean_info{.name = "mean",
                                  .dtypes = "f32 f64",
                                  .signature = "x[n...] -> y[m...]",
                                  .flops = "n",
                                  .bytes = "E·(n + m)",
                                  .gradient = "dx = dy·m/n, repeated",
                                  .gradient_flops = "m"};

/// sum() and mean() over a set of dimensions.
inline Var sum_or_mean(const OpInfo& info, const Var& x, unsigned dims, bool keepdim, bool mean) {
  const char* const op = info.name;
  check_float(op, "x", x.value());
  const Shape whole = x.shape();
  Shape kept = whole, dropped;
  std::int64_t terms = 1;
  for (int d = 0; d < whole.rank(); ++d) {
    if ((dims >> d & 1u) != 0) {
      terms *= whole[d];
      kept[d] = 1;
    } else {
      dropped.push_back(whole[d]);
    }
  }
  if (mean && terms == 0) reject(op, "x {} has no elements along the dimensions to average", whole);
  const double scale = mean ? 1.0 / static_cast<double>(terms) : 1.0;
  const Tensor y = sum_dims(op, x.value(), dims, scale);
  return record(info, reshape(y, keepdim ? kept : dropped), {x}, {},
                [=](const Tensor& dy, Needs, Kept) -> Grads {
                  const Tensor each = reshape(sum_dims(op, dy, 0, scale), kept);  // the scale alone
                  return {expand(each, whole).contiguous(op)};
                });
}

inline unsigned dims_of(const char* op, const Shape& shape, std::initializer_list<int> dims) {
  unsigned bits = 0;
  for (const int dim : dims) {
    const int d = normalize_dim(op, dim, shape);
    if ((bits >> d & 1u) != 0) reject(op, "dimension {} of x {} is named twice", dim, shape);
    bits |= 1u << d;
  }
  return bits;
}

/// Sum of all elements, a scalar; of an empty tensor 0.
///
/// formula  y = Σ x
/// x        [...] f32 or f64, any device and strides
/// returns  [] (rank 0)
/// keeps    nothing: dx = dy everywhere
/// throws   DTypeError; over dimensions also ShapeError
/// order    a fixed tree given by the shape; error at most 4·u·√K·Σ|x| for K terms
/// source   Higham 2002, Accuracy and Stability of Numerical Algorithms, §4 (summation)
inline Var sum(const Var& x) { return sum_or_mean(sum_info, x, (1u << x.shape().rank()) - 1u, false, false); }
/// Sum over some dimensions.
///
/// dims     each -rank..rank-1, none twice; none at all gives x back
/// keepdim  whether they stay, with extent 1
/// throws   ShapeError naming the dimension and x's shape, DTypeError
inline Var sum(const Var& x, std::initializer_list<int> dims, bool keepdim = false) {
  return sum_or_mean(sum_info, x, dims_of("sum", x.shape(), dims), keepdim, false);
}

/// Mean of all elements, a scalar; the division is done as a product with 1/n. See sum.
///
/// formula  y = 1/n·Σ x
/// x        [...] f32 or f64, at least one element
/// returns  [] (rank 0)
/// keeps    nothing: dx = dy/n everywhere
/// throws   ShapeError if x is empty, DTypeError
/// order    as sum
inline Var mean(const Var& x) {
  return sum_or_mean(mean_info, x, (1u << x.shape().rank()) - 1u, false, true);
}
/// Mean over some dimensions; see sum for dims and keepdim.
inline Var mean(const Var& x, std::initializer_list<int> dims, bool keepdim = false) {
  return sum_or_mean(mean_info, x, dims_of("mean", x.shape(), dims), keepdim, true);
}

}  // namespace fovea
