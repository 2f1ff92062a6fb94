// SPDX-License-Identifier: Apache-2.0
#pragma once

#include "autograd/op_info.h"
#include "autograd/ops/reduce.h"
#include "autograd/tape.h"
#include "kernels/ops/gather.h"

namespace fovea {

inline constexpr OpInfo gather_rows_info{.name = "gather_rows",
                                         .dtypes = "f32 f64",
                                         .signature = "x[n...] index[K] -> y[m...]",
                                         .bytes = "E·2·m + 8·K",
                                         .gradient = "dx = Σdy over the places that took it",
                                         .gradient_flops = "m",
                                         .keeps = "index"};
inline constexpr OpInfo gather_info{.name = "gather",
                                    .dtypes = "f32 f64",
                                    .signature = "x[n...] index[m...] -> y[m...]",
                                    .bytes = "E·2·m + 8·m",
                                    .gradient = "dx = Σdy over the places that took it",
                                    .gradient_flops = "m",
                                    .keeps = "index"};

/// gather_rows() and gather(): the same call, with an index for whole rows or for each element.
inline Var gather_as(const OpInfo& info, const Var& x, const Tensor& index, int d, bool shared,
                     std::int64_t count) {
  const char* const op = info.name;
  Gather shape{.rows = x.shape()[d], .count = count, .shared = shared};
  for (int k = 0; k < x.shape().rank(); ++k) (k < d ? shape.outer : shape.inner) *= k == d ? 1 : x.shape()[k];
  Shape picked = x.shape();
  picked[d] = count;
  const Tensor in = x.value().contiguous(op), at = index.contiguous(op);
  const Tensor y = Tensor::empty(picked, in.dtype(), in.device(), op);
  on(y.queue(),
     [&](auto& q) { kernels::gather(q, shape, in.dtype(), in.raw(), at.data<std::int64_t>(), y.raw()); });
  return record(info, y, {x, at}, {at}, [=](const Tensor& slope, Needs needs, Kept kept) -> Grads {
    const Tensor& kept_index = kept[0];
    const Tensor dy = slope.contiguous(op);
    const Tensor dx = Tensor::empty(needs.input_shape(0), dy.dtype(), dy.device(), op);
    on(dx.queue(), [&](auto& q) {
      kernels::gather_grad(q, shape, dy.dtype(), kept_index.data<std::int64_t>(), dy.raw(), dx.raw());
    });
    return {dx};
  });
}

/// Picks rows of one dimension by their numbers, some of them several times or in another order: cells, time
/// steps, samples.
///
/// formula  y[…, k, …] = x[…, index[k], …]
/// x        [...] f32 or f64
/// index    [K] i64, each 0..extent-1; another number gives NaN on every device, and its slope goes nowhere:
///          an error would have to wait for a GPU
/// dim      -rank..rank-1
/// returns  [...] with K in the place of dim's extent
/// keeps    index: dx[…, r, …] = Σ dy[…, k, …] over all k with index[k] = r
/// throws   ShapeError (dim; index is not [K]), DTypeError, DeviceError
/// order    k ascending; the list is walked once for each column, so it is meant to be short
/// source   Harris et al. 2020, Array programming with NumPy
inline Var gather_rows(const Var& x, const Tensor& index, int dim) {
  constexpr const char* op = "gather_rows";
  check_float(op, "x", x.value());
  check_dtype(op, "index", index, DType::i64);
  check_same_device(op, {x, index});
  const int d = normalize_dim(op, dim, x.shape());
  if (index.rank() != 1)
    reject(op, "index {} has rank {}, expected [K] for dimension {} of x {}", index.shape(), index.rank(), d,
           x.shape());
  return gather_as(gather_rows_info, x, index, d, true, index.numel());
}

/// Picks an element of one dimension for each place of the others; see gather_rows.
///
/// formula  y[…, k, …] = x[…, index[…, k, …], …]
/// index    [...] i64, extents of x but for dim; each number 0..extent-1, else NaN as there
/// returns  shape of index
/// keeps    index: dx[…, r, …] = Σ dy[…, k, …] over all k with index[…, k, …] = r
/// throws   ShapeError (dim; the shapes differ in more than dim), DTypeError, DeviceError
/// order    k ascending
inline Var gather(const Var& x, const Tensor& index, int dim) {
  constexpr const char* op = "gather";
  check_float(op, "x", x.value());
  check_dtype(op, "index", index, DType::i64);
  check_same_device(op, {x, index});
  const int d = normalize_dim(op, dim, x.shape());
  Shape fitting = x.shape();
  if (index.rank() == fitting.rank()) fitting[d] = index.shape()[d];
  if (index.shape() != fitting)
    reject(op, "index {} and x {} differ in more than dimension {}", index.shape(), x.shape(), d);
  return gather_as(gather_info, x, index, d, false, fitting[d]);
}

}  // namespace fovea
