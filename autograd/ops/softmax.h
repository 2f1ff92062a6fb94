// SPDX-License-Identifier: Apache-2.0
#pragma once

#include "autograd/op_info.h"
#include "autograd/tape.h"
#include "kernels/ops/softmax.h"

namespace fovea {

inline constexpr OpInfo softmax_info{.name = "softmax",
                                     .signature = "x[n...] -> y[n...]",
                                     .flops = "20·n",
                                     .bytes = "E·2·n",
                                     .gradient = "dx = y·(dy − Σ dy·y)",
                                     .gradient_flops = "4·n",
                                     .keeps = "y"};
inline constexpr OpInfo log_softmax_info{.name = "log_softmax",
                                         .signature = "x[n...] -> y[n...]",
                                         .flops = "20·n",
                                         .bytes = "E·2·n",
                                         .gradient = "dx = dy − exp(y)·Σdy",
                                         .gradient_flops = "19·n",
                                         .keeps = "y"};

namespace softmax_detail {

inline Reduce rows_of(const char* op, const Tensor& x, int dim) {
  check_dtype(op, "x", x, DType::f32);
  const int along = normalize_dim(op, dim, x.shape());
  Reduce rows;
  for (int d = 0; d < x.rank(); ++d)
    (d < along ? rows.outer : d > along ? rows.inner : rows.width) *= x.shape()[d];
  return rows;
}

}  // namespace softmax_detail

/// Softmax along one dimension: a row becomes shares that are positive and sum to 1.
///
/// formula  y[c] = exp(x[c] − m)/Σ_k exp(x[k] − m), m = max_k x[k], for each row along dim
/// x        [...] f32, any strides, rank at least 1; may be empty. −∞ gives the share 0; a row with NaN or
///          +∞, or of nothing but −∞, becomes NaN
/// dim      -rank..rank-1
/// returns  shape of x, contiguous; a row sums to 1 within 4·u·√K for K elements
/// keeps    y: dx = y·(dy − Σ_k dy[k]·y[k])
/// throws   ShapeError naming the dimension and x's shape, DTypeError
/// order    deterministic; on the host sums are in double
/// source   Bridle 1990, Probabilistic interpretation of feedforward classification network outputs
inline Var softmax(const Var& x, int dim = -1) {
  constexpr const char* op = "softmax";
  const Reduce rows = softmax_detail::rows_of(op, x.value(), dim);
  const Tensor in = x.value().contiguous(op);
  Tensor y = Tensor::empty(x.shape(), DType::f32, x.device(), op);
  if (y.numel() > 0) on(y.queue(), [&](auto& q) { kernels::softmax(q, rows, in.data(), y.data()); });
  return record(softmax_info, y, {x}, {y}, [rows](const Tensor& dy, Needs, Kept kept) -> Grads {
    const Tensor& kept_y = kept[0];
    const Tensor slope = dy.contiguous(op), dx = Tensor::empty_like(kept_y, op);
    if (dx.numel() > 0)
      on(dx.queue(),
         [&](auto& q) { kernels::softmax_grad(q, rows, kept_y.data(), slope.data(), dx.data()); });
    return {dx};
  });
}

/// Logarithm of the softmax along one dimension, exact also where the softmax itself would be 0; see softmax.
///
/// formula  y[c] = x[c] − m − log Σ_k exp(x[k] − m), m = max_k x[k], for each row along dim
/// returns  shape of x, contiguous; at most 0 but for rounding
/// keeps    y: dx = dy − exp(y)·Σ_k dy[k]
inline Var log_softmax(const Var& x, int dim = -1) {
  constexpr const char* op = "log_softmax";
  const Reduce rows = softmax_detail::rows_of(op, x.value(), dim);
  const Tensor in = x.value().contiguous(op);
  Tensor y = Tensor::empty(x.shape(), DType::f32, x.device(), op);
  if (y.numel() > 0) on(y.queue(), [&](auto& q) { kernels::log_softmax(q, rows, in.data(), y.data()); });
  return record(log_softmax_info, y, {x}, {y}, [rows](const Tensor& dy, Needs, Kept kept) -> Grads {
    const Tensor& kept_y = kept[0];
    const Tensor slope = dy.contiguous(op), dx = Tensor::empty_like(kept_y, op);
    if (dx.numel() > 0)
      on(dx.queue(),
         [&](auto& q) { kernels::log_softmax_grad(q, rows, kept_y.data(), slope.data(), dx.data()); });
    return {dx};
  });
}

}  // namespace fovea
