// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <initializer_list>
#include <span>

#include "tensor/tensor.h"

/// Other shapes on the same elements. Nothing here copies, except reshape() where strides do not allow a
/// view. Dimensions may be negative. Each throws ShapeError naming the view and the shapes.
namespace fovea {

/// One extent may be -1 and is worked out. Copies only if x's strides cannot express the new shape.
Tensor reshape(const Tensor& x, const Shape& shape);

/// Elements from, from+step, … below to along dim. Negative bounds count from the end; step ≥ 1.
Tensor slice(const Tensor& x, int dim, std::int64_t from, std::int64_t to, std::int64_t step = 1);

/// Drops dim by fixing its index.
Tensor select(const Tensor& x, int dim, std::int64_t index);

/// Dimension d of the result is dimension order[d] of x.
Tensor permute(const Tensor& x, std::span<const int> order);
inline Tensor permute(const Tensor& x, std::initializer_list<int> order) {
  return permute(x, std::span<const int>(order.begin(), order.size()));
}

Tensor transpose(const Tensor& x, int dim0, int dim1);

/// Repeats extents of 1 and adds leading ones, as broadcasting does; stride 0, so do not write to it.
Tensor expand(const Tensor& x, const Shape& shape);

/// Adds a dimension of extent 1 at dim (0..rank), and removes one.
Tensor unsqueeze(const Tensor& x, int dim);
Tensor squeeze(const Tensor& x, int dim);

/// x[T, …] → [T - length + 1, length, …]: window i holds frames i … i+length-1. Every frame appears in up to
/// `length` windows and is stored once.
Tensor rolling_window(const Tensor& x, std::int64_t length);

}  // namespace fovea
