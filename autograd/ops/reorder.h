// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <array>
#include <cstddef>
#include <initializer_list>
#include <span>

#include "autograd/op_info.h"
#include "autograd/tape.h"
#include "kernels/ops/copy.h"
#include "tensor/views.h"

namespace fovea {

inline constexpr OpInfo permute_info{.name = "permute",
                                     .dtypes = "all",
                                     .signature = "x[n...] -> y[n...]",
                                     .gradient = "dx = dy with its dimensions put back"};
inline constexpr OpInfo transpose_info{.name = "transpose",
                                       .dtypes = "all",
                                       .signature = "x[n...] -> y[n...]",
                                       .gradient = "dx = dy with its dimensions put back"};
inline constexpr OpInfo flip_info{.name = "flip",
                                  .dtypes = "all",
                                  .signature = "x[n...] -> y[n...]",
                                  .bytes = "E·2·n",
                                  .gradient = "dx = dy flipped"};

/// The same elements with their dimensions in another order.
///
/// formula  y[i_{order_0}, i_{order_1}, …] = x[i_0, i_1, …]
/// x        [...] any dtype
/// order    each dimension once: dimension d of the result is dimension order[d] of x
/// returns  [...] a view of x
/// keeps    nothing: dx is a view of dy
/// throws   ShapeError naming the dimension and x's shape
/// source   Harris et al. 2020, Array programming with NumPy
inline Var permute(const Var& x, std::span<const int> order) {
  const Tensor y = permute(x.value(), order);
  std::array<int, kMaxRank> back{};
  int from = 0;
  for (const int dim : order)
    back[static_cast<std::size_t>(normalize_dim("permute", dim, x.shape()))] = from++;
  return record(permute_info, y, {x}, {}, [back](const Tensor& dy, Needs, Kept) -> Grads {
    return {permute(dy, std::span(back.data(), static_cast<std::size_t>(dy.rank())))};
  });
}
inline Var permute(const Var& x, std::initializer_list<int> order) {
  return permute(x, std::span<const int>(order.begin(), order.size()));
}

/// Two dimensions change places; see permute.
///
/// formula     y[…, j, …, i, …] = x[…, i, …, j, …]
/// dim0, dim1  -rank..rank-1
inline Var transpose(const Var& x, int dim0, int dim1) {
  return record(transpose_info, transpose(x.value(), dim0, dim1), {x}, {},
                [=](const Tensor& dy, Needs, Kept) -> Grads { return {transpose(dy, dim0, dim1)}; });
}

/// A copy of x that runs backwards along dimension d: strides may be negative inside of a kernel.
inline Tensor flip_value(const Tensor& x, int d) {
  const Tensor y = Tensor::empty(x.shape(), x.dtype(), x.device(), "flip");
  if (y.numel() == 0) return y;
  Strides backwards = x.strides();
  const auto* last =
      static_cast<const std::byte*>(x.raw()) + (x.shape()[d] - 1) * backwards[d] * dtype_bytes(x.dtype());
  backwards[d] = -backwards[d];
  const Strides operands[] = {y.strides(), backwards};
  const Strided loops = strided(x.shape(), operands);
  on(y.queue(), [&](auto& q) { kernels::copy(q, loops, last, x.dtype(), y.raw(), y.dtype()); });
  return y;
}

/// The order along one dimension turned round: the mirror image of pictures (dim -1), time backwards.
///
/// formula  y[…, i, …] = x[…, extent − 1 − i, …]
/// x        [...] any dtype
/// dim      -rank..rank-1
/// returns  [...] contiguous
/// keeps    nothing: dx = dy flipped
/// throws   ShapeError naming dim and x's shape
/// source   Harris et al. 2020, Array programming with NumPy
inline Var flip(const Var& x, int dim) {
  const int d = normalize_dim("flip", dim, x.shape());
  return record(flip_info, flip_value(x.value(), d), {x}, {},
                [d](const Tensor& dy, Needs, Kept) -> Grads { return {flip_value(dy, d)}; });
}

}  // namespace fovea
