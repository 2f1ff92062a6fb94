// SPDX-License-Identifier: Apache-2.0
#pragma once

#include "autograd/op_info.h"
#include "autograd/ops/reduce.h"
#include "autograd/tape.h"
#include "kernels/ops/crelu.h"

namespace fovea {

inline constexpr OpInfo crelu_info{.name = "crelu",
                                   .dtypes = "f32 f64",
                                   .signature = "x[n...] -> y[m...]",
                                   .flops = "2·n",
                                   .bytes = "E·3·n",
                                   .gradient = "dx = dy⁺ where y⁺ > 0, − dy⁻ where y⁻ > 0, else 0",
                                   .gradient_flops = "3·n",
                                   .keeps = "y"};

/// Concatenated rectifier: x and −x, both rectified, one after the other along a dimension, so that a filter
/// and its opposite share weights. Slope 0 at 0; NaN stays NaN.
///
/// formula  y = [y⁺, y⁻] with y⁺ = max(x, 0), y⁻ = max(−x, 0)
/// x        [...] f32 or f64
/// dim      -rank..rank-1; its extent doubles. Channels by default
/// returns  [...] contiguous
/// keeps    y: dx = dy⁺ where y⁺ > 0, minus dy⁻ where y⁻ > 0
/// throws   ShapeError naming dim and x's shape, DTypeError
/// order    each element by itself
/// source   Shang et al. 2016, Understanding and improving CNNs via concatenated rectified linear units
inline Var crelu(const Var& x, int dim = 1) {
  constexpr const char* op = "crelu";
  check_float(op, "x", x.value());
  const int d = normalize_dim(op, dim, x.shape());
  std::int64_t outer = 1, inner = 1;
  for (int k = 0; k < x.shape().rank(); ++k) (k < d ? outer : inner) *= x.shape()[k];
  Shape shape = x.shape();
  shape[d] *= 2;
  const Tensor in = x.value().contiguous(op);
  const Tensor y = Tensor::empty(shape, in.dtype(), in.device(), op);
  on(y.queue(), [&](auto& q) { kernels::crelu(q, outer, inner, in.dtype(), in.raw(), y.raw()); });
  return record(crelu_info, y, {x}, {y}, [=](const Tensor& slope, Needs needs, Kept kept) -> Grads {
    const Tensor& kept_y = kept[0];
    const Tensor dy = slope.contiguous(op);
    const Tensor dx = Tensor::empty(needs.input_shape(0), dy.dtype(), dy.device(), op);
    on(dx.queue(),
       [&](auto& q) { kernels::crelu_grad(q, outer, inner, dy.dtype(), kept_y.raw(), dy.raw(), dx.raw()); });
    return {dx};
  });
}

}  // namespace fovea
