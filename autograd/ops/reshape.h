// SPDX-License-Identifier: Apache-2.0
#pragma once

#include "autograd/op_info.h"
#include "autograd/tape.h"
#include "tensor/views.h"

namespace fovea {

/// Bytes are 0 for a view; where strides ask for a copy, 2·E·n.
inline constexpr OpInfo reshape_info{.name = "reshape",
                                     .dtypes = "all",
                                     .signature = "x[n...] -> y[n...]",
                                     .gradient = "dx = dy in the shape of x"};
inline constexpr OpInfo flatten_info{.name = "flatten",
                                     .dtypes = "all",
                                     .signature = "x[n...] -> y[n...]",
                                     .gradient = "dx = dy in the shape of x"};

/// reshape() and flatten().
inline Var reshape_as(const OpInfo& info, const Var& x, const Shape& shape) {
  return record(info, reshape(x.value(), shape), {x}, {},
                [from = x.shape()](const Tensor& dy, Needs, Kept) -> Grads { return {reshape(dy, from)}; });
}

/// The same elements, in row-major order, in another shape.
///
/// formula  y[j] = x[i] where i and j are at the same place in row-major order
/// x        [...] any dtype
/// shape    of as many elements; one extent may be -1 and is worked out
/// returns  [...] a view of x if its strides allow, else a copy
/// keeps    nothing: dx is dy in the shape of x
/// throws   ShapeError with both shapes
/// source   Harris et al. 2020, Array programming with NumPy
inline Var reshape(const Var& x, const Shape& shape) { return reshape_as(reshape_info, x, shape); }

/// The dimensions from `from_dim` on become one: [N, C, H, W] → [N, C·H·W]. See reshape.
///
/// formula  y[n, j] = x[n, …] with j the place of … in row-major order
/// x         [...] any dtype
/// from_dim  0..rank; at rank, a dimension of extent 1 is added
/// returns   [..., F], F the product of the extents from from_dim on; a view of x if its strides allow
/// throws    ShapeError naming from_dim and x's shape
inline Var flatten(const Var& x, int from_dim = 1) {
  const Shape& shape = x.shape();
  if (from_dim < 0 || from_dim > shape.rank())
    reject("flatten", "from_dim {} is outside of 0..{}, the rank of x {}", from_dim, shape.rank(), shape);
  Shape flat;
  std::int64_t rest = 1;
  for (int d = 0; d < shape.rank(); ++d) {
    if (d < from_dim)
      flat.push_back(shape[d]);
    else
      rest *= shape[d];
  }
  flat.push_back(rest);
  return reshape_as(flatten_info, x, flat);
}

}  // namespace fovea
