// SPDX-License-Identifier: Apache-2.0
#pragma once

#include "autograd/op_info.h"
#include "autograd/ops/reduce.h"
#include "autograd/tape.h"
#include "kernels/ops/clamp.h"

namespace fovea {

inline constexpr OpInfo clamp_info{.name = "clamp",
                                   .dtypes = "f32 f64",
                                   .signature = "x[n...] -> y[n...]",
                                   .flops = "2·n",
                                   .bytes = "E·2·n",
                                   .gradient = "dx = dy where low ≤ x ≤ high, else 0",
                                   .gradient_flops = "2·n",
                                   .keeps = "x"};

/// Values moved to the nearest in a range. The slope is 1 inside, bounds included, and 0 outside; NaN stays,
/// with slope 0.
///
/// formula    y = min(max(x, low), high)
/// x          [...] f32 or f64
/// low, high  low ≤ high, rounded to x's type; ∓∞ for no bound
/// returns    [...]
/// keeps      x: dx = dy where low ≤ x ≤ high, else 0
/// throws     ValueError with both bounds, DTypeError
/// order      each element by itself
/// source     elementary
inline Var clamp(const Var& x, double low, double high) {
  constexpr const char* op = "clamp";
  check_float(op, "x", x.value());
  if (!(low <= high))
    reject<ValueError>(op, "low {} and high {} for x {}: expected low ≤ high", low, high, x.shape());
  const Tensor in = x.value().contiguous(op);
  const Tensor y = Tensor::empty_like(in, op);
  on(y.queue(), [&](auto& q) { kernels::clamp(q, in.numel(), in.dtype(), low, high, in.raw(), y.raw()); });
  return record(clamp_info, y, {x}, {in}, [=](const Tensor& slope, Needs, Kept kept) -> Grads {
    const Tensor& kept_x = kept[0];
    const Tensor dy = slope.contiguous(op);
    const Tensor dx = Tensor::empty_like(dy, op);
    on(dx.queue(), [&](auto& q) {
      kernels::clamp_grad(q, dy.numel(), dy.dtype(), low, high, kept_x.raw(), dy.raw(), dx.raw());
    });
    return {dx};
  });
}

}  // namespace fovea
