// SPDX-License-Identifier: Apache-2.0
#pragma once

#include "autograd/op_info.h"
#include "autograd/ops/reduce.h"
#include "autograd/tape.h"
#include "kernels/ops/labels.h"

namespace fovea {

/// Neither has a gradient.
inline constexpr OpInfo argmax_info{.name = "argmax",
                                    .dtypes = "f32 f64",
                                    .signature = "x[n...] -> y[m...]",
                                    .flops = "n",
                                    .bytes = "E·n + 8·m"};
inline constexpr OpInfo one_hot_info{
    .name = "one_hot", .dtypes = "i64", .signature = "labels[N...] -> y[n...]", .bytes = "8·N + 4·n"};

/// Where the greatest value lies along a dimension. Of equal values the first is meant; a NaN counts as
/// greater than any number.
///
/// formula  y[…] = the least k for which x[…, k, …] is greatest
/// x        [...] f32 or f64, at least one element along dim
/// dim      -rank..rank-1
/// keepdim  whether dim stays, with extent 1: then gather(x, y, dim) gives the values
/// returns  [...] i64, without dim
/// keeps    nothing: there is no gradient
/// throws   ShapeError (dim; no elements along it), DTypeError, ValueError (x needs a gradient)
/// source   elementary
inline Var argmax(const Var& x, int dim, bool keepdim = false) {
  constexpr const char* op = "argmax";
  check_float(op, "x", x.value());
  const int d = normalize_dim(op, dim, x.shape());
  Reduce loops{.outer = 1, .width = x.shape()[d], .inner = 1};
  if (loops.width == 0) reject(op, "x {} has no elements along dimension {}", x.shape(), d);
  for (int k = 0; k < x.shape().rank(); ++k) (k < d ? loops.outer : loops.inner) *= k == d ? 1 : x.shape()[k];
  Shape shape = x.shape();
  shape[d] = 1;
  const Tensor in = x.value().contiguous(op);
  const Tensor y = Tensor::empty(keepdim ? shape : shape.without(d), DType::i64, in.device(), op);
  on(y.queue(), [&](auto& q) { kernels::argmax(q, loops, in.dtype(), in.raw(), y.data<std::int64_t>()); });
  return record_constant(argmax_info, y, {x});
}

/// Class numbers as rows of zeros with a one.
///
/// formula  y[…, c] = 1 where labels[…] = c, else 0
/// labels   [...] i64, each 0..classes-1; another number gives a row of NaN on every device: an error would
///          have to wait for a GPU
/// classes  ≥ 1
/// returns  [..., classes] f32
/// keeps    nothing: there is no gradient
/// throws   DTypeError, ValueError (classes), ShapeError if the result has more dimensions than a tensor can
///          have
/// source   elementary
inline Var one_hot(const Tensor& labels, std::int64_t classes) {
  constexpr const char* op = "one_hot";
  check_dtype(op, "labels", labels, DType::i64);
  if (classes < 1)
    reject<ValueError>(op, "classes is {} for labels {}, expected at least 1", classes, labels.shape());
  Shape shape = labels.shape();
  shape.push_back(classes);
  const Tensor in = labels.contiguous(op);
  const Tensor y = Tensor::empty(shape, DType::f32, in.device(), op);
  on(y.queue(),
     [&](auto& q) { kernels::one_hot(q, in.numel(), classes, in.data<std::int64_t>(), y.data()); });
  return record_constant(one_hot_info, y, {labels});
}

}  // namespace fovea
