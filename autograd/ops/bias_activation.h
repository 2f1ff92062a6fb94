// SPDX-License-Identifier: Apache-2.0
#pragma once

#include "autograd/channel_sums.h"
#include "autograd/op_info.h"
#include "autograd/tape.h"
#include "kernels/ops/bias_activation.h"

namespace fovea {

inline constexpr OpInfo bias_activation_info{.name = "bias_activation",
                                             .signature = "x[N, C, S...] bias[C] -> y[N, C, S...]",
                                             .flops = "2·N·C·S",
                                             .bytes = "E·(2·N·C·S + C)",
                                             .gradient = "dx = dy·f'(y), dbias[c] = Σ_{n,…} dx[n, c, …]",
                                             .gradient_flops = "N·C·S + dbias·N·C·S",
                                             .keeps = "y"};

/// Bias and function in one pass over memory.
///
/// formula  y[n, c, …] = f(x[n, c, …] + bias[c])
/// x        [N, C, ...] f32, rank ≥ 2
/// bias     [C] f32
/// f        identity, relu, softplus, sigmoid, tanh, exp or elu: their slope follows from y
/// returns  [N, C, ...]
/// keeps    y, or nothing for identity: dx = dy·f'(y), dbias[c] = Σ_{n,…} dx[n, c, …]
/// throws   ShapeError with both shapes, DTypeError, DeviceError, ValueError naming f
/// order    the bias gradient is a sum in a fixed tree given by the shape
/// source   Goodfellow et al. 2016, Deep Learning, §6.1 (an affine map, then an activation)
inline Var bias_activation(const Var& x, const Var& bias, Function f) {
  constexpr const char* kOp = "bias_activation";
  check_same_device(kOp, {x, bias});
  check_dtype(kOp, "x", x.value(), DType::f32);
  check_dtype(kOp, "bias", bias.value(), DType::f32);
  const Shape& shape = x.shape();
  if (shape.rank() < 2) reject(kOp, "x {} has rank {}, expected [N, C, ...]", shape, shape.rank());
  if (bias.shape().rank() != 1 || bias.shape()[0] != shape[1])
    reject(kOp, "x {} has {} channels, bias is {}, expected [{}]", shape, shape[1], bias.shape(), shape[1]);
  if (slope_needs_input(f) || f == Function::sqrt || f == Function::negate)
    reject<ValueError>(kOp, "{} is not one of identity, relu, softplus, sigmoid, tanh, exp, elu",
                       function_name(f));
  const std::int64_t batch = shape[0], channels = shape[1];
  std::int64_t inner = 1;
  for (int d = 2; d < shape.rank(); ++d) inner *= shape[d];
  const Tensor in = x.value().contiguous(kOp), add = bias.value().contiguous(kOp);
  const Tensor y = Tensor::empty_like(in, kOp);
  on(y.queue(), [&](auto& q) {
    kernels::bias_activation(q, f, batch, channels, inner, in.data(), add.data(), y.data());
  });
  const Tensor needed = f == Function::identity ? Tensor() : y;
  return record(bias_activation_info, y, {x, bias}, {needed},
                [=](const Tensor& slope, Needs needs, Kept kept) -> Grads {
                  const Tensor dy = slope.contiguous(kOp);
                  Tensor dx = dy;
                  if (f != Function::identity) {
                    dx = Tensor::empty_like(dy, kOp);
                    on(dx.queue(), [&](auto& q) {
                      kernels::bias_activation_grad(q, f, dy.numel(), kept[0].data(), dy.data(), dx.data());
                    });
                  }
                  Grads d(2);
                  if (needs[0]) d[0] = dx;
                  if (needs[1]) d[1] = channel_sums(kOp, dx);
                  return d;
                });
}

}  // namespace fovea
