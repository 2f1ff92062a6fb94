// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <initializer_list>
#include <span>
#include <vector>

#include "autograd/op_info.h"
#include "autograd/tape.h"
#include "kernels/ops/copy.h"
#include "tensor/views.h"

namespace fovea {

inline constexpr OpInfo concat_info{.name = "concat",
                                    .dtypes = "all",
                                    .signature = "x[m...]... -> y[n...]",
                                    .bytes = "E·2·n",
                                    .gradient = "dx = its part of dy"};
inline constexpr OpInfo split_info{.name = "split",
                                   .dtypes = "all",
                                   .signature = "x[n...] -> y[m...]...",
                                   .gradient = "dx = all dy, joined"};
inline constexpr OpInfo slice_info{.name = "slice",
                                   .dtypes = "all",
                                   .signature = "x[n...] -> y[m...]",
                                   .gradient = "dx = dy where it was taken, else 0"};
inline constexpr OpInfo pad_info{.name = "pad",
                                 .dtypes = "all",
                                 .signature = "x[m...] -> y[n...]",
                                 .bytes = "E·(m + n)",
                                 .gradient = "dx = dy without its margins"};

/// Tensors one after the other along one of their dimensions.
///
/// formula  y[…, from_k + i, …] = x_k[…, i, …] with from_k = Σ_{j<k} extent of x_j
/// xs       at least one, each [...] of one dtype, extents equal but for those of dim
/// dim      -rank..rank-1
/// returns  [...] contiguous; its extent of dim is the sum of theirs
/// keeps    nothing: dx_k is a view of its part of dy
/// throws   ShapeError naming the first two that do not fit, DTypeError, DeviceError, ValueError (none given)
/// source   Harris et al. 2020, Array programming with NumPy
inline Var concat(std::span<const Var> xs, int dim) {
  constexpr const char* op = "concat";
  if (xs.empty()) reject<ValueError>(op, "got no tensors, expected at least one");
  check_same_device(op, xs);
  const Tensor& first = xs[0].value();
  const int d = normalize_dim(op, dim, first.shape());
  Shape shape = first.shape();
  for (std::size_t k = 1; k < xs.size(); ++k) {
    const Tensor& x = xs[k].value();
    if (x.dtype() != first.dtype())
      reject<DTypeError>(op, "tensor 0 {} is {}, tensor {} {} is {}; convert one of them with to()",
                         first.shape(), dtype_name(first.dtype()), k, x.shape(), dtype_name(x.dtype()));
    Shape fitting = first.shape();
    if (x.rank() == first.rank()) fitting[d] = x.shape()[d];
    if (x.shape() != fitting)
      reject(op, "tensor 0 {} and tensor {} {} differ in more than dimension {}", first.shape(), k, x.shape(),
             d);
    shape[d] += x.shape()[d];
  }
  const Tensor y = Tensor::empty(shape, first.dtype(), first.device(), op);
  std::int64_t from = 0;
  for (const Var& x : xs) {
    const std::int64_t to = from + x.shape()[d];
    slice(y, d, from, to).copy_from(x.value());
    from = to;
  }
  return record(concat_info, y, xs, {}, [d](const Tensor& dy, Needs needs, Kept) -> Grads {
    Grads dxs;
    std::int64_t begin = 0;
    for (int k = 0; k < needs.inputs(); ++k) {
      const std::int64_t end = begin + needs.input_shape(k)[d];
      dxs.push_back(needs[k] ? slice(dy, d, begin, end) : Tensor());
      begin = end;
    }
    return dxs;
  });
}
inline Var concat(std::initializer_list<Var> xs, int dim) {
  return concat(std::span<const Var>(xs.begin(), xs.size()), dim);
}

/// Consecutive parts along a dimension: what concat joins again.
///
/// formula  y_k[…, i, …] = x[…, from_k + i, …] with from_k = Σ_{j<k} sizes_j
/// x        [...] any dtype
/// sizes    extents of the parts along dim, each at least 0; their sum is that of x
/// dim      -rank..rank-1
/// returns  views of x, one [...] for each size
/// keeps    nothing: the slopes of all parts are joined; 0 for a part that nobody used
/// throws   ShapeError with sizes and x's shape
/// source   Harris et al. 2020, Array programming with NumPy
inline std::vector<Var> split(const Var& x, std::span<const std::int64_t> sizes, int dim) {
  constexpr const char* op = "split";
  const int d = normalize_dim(op, dim, x.shape());
  std::int64_t from = 0;
  std::vector<Tensor> parts;
  for (const std::int64_t size : sizes) {
    if (size < 0 || size > x.shape()[d] - from) break;
    parts.push_back(slice(x.value(), d, from, from + size));
    from += size;
  }
  if (parts.size() != sizes.size() || from != x.shape()[d] || parts.empty()) {
    std::string all;
    for (const std::int64_t size : sizes) all += fmt::format("{}{}", all.empty() ? "" : ", ", size);
    reject(op, "the sizes [{}] do not add up to the extent {} of dimension {} of x {}", all, x.shape()[d], d,
           x.shape());
  }
  return record(split_info, parts, {x}, {}, [d](const Grads& dys, Needs needs, Kept) -> Grads {
    const Tensor* given = nullptr;
    for (const Tensor& dy : dys)
      if (dy.defined()) given = &dy;
    const Tensor dx = Tensor::empty(needs.input_shape(0), given->dtype(), given->device(), "split");
    std::int64_t begin = 0;
    for (std::size_t k = 0; k < dys.size(); ++k) {
      const std::int64_t end = begin + needs.result_shape(static_cast<int>(k))[d];
      const Tensor part = slice(dx, d, begin, end);
      if (dys[k].defined())
        part.copy_from(dys[k]);
      else
        part.fill(0.0);
      begin = end;
    }
    return {dx};
  });
}
inline std::vector<Var> split(const Var& x, std::initializer_list<std::int64_t> sizes, int dim) {
  return split(x, std::span<const std::int64_t>(sizes.begin(), sizes.size()), dim);
}
/// A number of equal parts, as in NumPy; PyTorch's split(x, 2) makes parts of extent 2 instead.
///
/// count    ≥ 1, divides the extent of dim
/// throws   ShapeError with count and x's shape
inline std::vector<Var> split(const Var& x, int count, int dim) {
  const int d = normalize_dim("split", dim, x.shape());
  if (count < 1 || x.shape()[d] % count != 0)
    reject("split", "{} equal parts do not fill the extent {} of dimension {} of x {}", count, x.shape()[d],
           d, x.shape());
  return split(x, std::vector<std::int64_t>(static_cast<std::size_t>(count), x.shape()[d] / count), d);
}

/// Elements from, from + step, … below to along a dimension. A single one, and then reshape(), is a
/// selection.
///
/// formula   y[…, i, …] = x[…, from + step·i, …]
/// x         [...] any dtype
/// dim       -rank..rank-1
/// from, to  0..extent, or counted from the end if negative
/// step      ≥ 1
/// returns   [...] a view of x
/// keeps     nothing: dy is written into zeros of x's shape
/// throws    ShapeError with the bounds and x's shape
/// source    Harris et al. 2020, Array programming with NumPy
inline Var slice(const Var& x, int dim, std::int64_t from, std::int64_t to, std::int64_t step = 1) {
  return record(slice_info, slice(x.value(), dim, from, to, step), {x}, {},
                [=](const Tensor& dy, Needs needs, Kept) -> Grads {
                  const Tensor dx = Tensor::zeros(needs.input_shape(0), dy.dtype(), dy.device(), "slice");
                  slice(dx, dim, from, to, step).copy_from(dy);
                  return {dx};
                });
}

/// A margin of one value around each plane.
///
/// formula  y[…, top + i, left + j] = x[…, i, j]; value elsewhere
/// x        [..., H, W] any dtype
/// by       pixels at each side, ≥ 0
/// value    of the margin; converted to x's type
/// returns  [..., top + H + bottom, left + W + right]
/// keeps    nothing: dx is a view of dy without its margins
/// throws   ShapeError if x has fewer than two dimensions, ValueError with the four numbers
/// source   elementary
inline Var pad(const Var& x, const Padding2d& by, double value = 0.0) {
  constexpr const char* op = "pad";
  const int rank = x.shape().rank();
  if (rank < 2) reject(op, "x {} has rank {}, expected [..., H, W]", x.shape(), rank);
  if (by.top < 0 || by.bottom < 0 || by.left < 0 || by.right < 0)
    reject<ValueError>(
        op, "the margin top {}, bottom {}, left {}, right {} of x {} has a negative side; use slice()",
        by.top, by.bottom, by.left, by.right, x.shape());
  const std::int64_t height = x.shape()[rank - 2], width = x.shape()[rank - 1];
  const auto inside = [=](const Tensor& plane) {
    return slice(slice(plane, -2, by.top, by.top + height), -1, by.left, by.left + width);
  };
  Shape shape = x.shape();
  shape[rank - 2] += by.top + by.bottom;
  shape[rank - 1] += by.left + by.right;
  const Tensor y = Tensor::full(shape, value, x.value().dtype(), x.device(), op);
  inside(y).copy_from(x.value());
  return record(pad_info, y, {x}, {}, [=](const Tensor& dy, Needs, Kept) -> Grads { return {inside(dy)}; });
}

}  // namespace fovea
