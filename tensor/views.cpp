// SPDX-License-Identifier: Apache-2.0
#include "tensor/views.h"

#include <algorithm>
#include <optional>

namespace fovea {
namespace {

Shape resolve(const Tensor& x, const Shape& wanted) {
  Shape shape = wanted;
  int unknown = -1;
  std::int64_t known = 1;
  for (int d = 0; d < shape.rank(); ++d) {
    if (shape[d] == -1 && unknown < 0)
      unknown = d;
    else if (shape[d] < 0)
      reject("reshape", "{} is not a shape: only one extent may be -1", wanted);
    else
      known *= shape[d];
  }
  if (unknown >= 0 && known > 0 && x.numel() % known == 0) shape[unknown] = x.numel() / known;
  if (shape.numel() != x.numel() || (unknown >= 0 && shape[unknown] < 0))
    reject("reshape", "x {} has {} elements, which do not fill {}", x.shape(), x.numel(), wanted);
  return shape;
}

/// Strides of x seen as `shape`, if each new dimension stays within old dimensions that lie evenly in memory.
std::optional<Strides> strides_of_view(const Tensor& x, const Shape& shape) {
  if (x.is_contiguous()) return contiguous_strides(shape);
  Strides strides = shape;
  int d = shape.rank() - 1;
  int i = x.rank() - 1;
  while (i >= 0) {
    // Take the longest run of old dimensions that merge into one.
    std::int64_t extent = x.shape()[i];
    const std::int64_t step = x.strides()[i];
    while (i > 0 && (x.shape()[i - 1] == 1 || x.strides()[i - 1] == step * extent)) {
      --i;
      extent *= x.shape()[i];
    }
    --i;
    std::int64_t inner = 1;
    while (d >= 0 && inner < extent) {
      strides[d] = step * inner;
      inner *= shape[d--];
    }
    if (inner != extent) return std::nullopt;
  }
  for (; d >= 0; --d) strides[d] = 1;  // only extents of 1 are left
  return strides;
}

}  // namespace

Tensor reshape(const Tensor& x, const Shape& wanted) {
  const Shape shape = resolve(x, wanted);
  if (const auto strides = strides_of_view(x, shape)) return x.view(shape, *strides, x.offset());
  return x.clone("reshape").view(shape, contiguous_strides(shape), 0);
}

Tensor slice(const Tensor& x, int dim, std::int64_t from, std::int64_t to, std::int64_t step) {
  const int d = normalize_dim("slice", dim, x.shape());
  const std::int64_t extent = x.shape()[d];
  const std::int64_t first = from < 0 ? from + extent : from, last = to < 0 ? to + extent : to;
  if (first < 0 || last < first || last > extent || step < 1)
    reject("slice", "{}:{}:{} of dimension {} is outside of x {}", from, to, step, d, x.shape());
  Shape shape = x.shape();
  Strides strides = x.strides();
  shape[d] = (last - first + step - 1) / step;
  strides[d] *= step;
  return x.view(shape, strides, x.offset() + first * x.strides()[d]);
}

Tensor select(const Tensor& x, int dim, std::int64_t index) {
  const int d = normalize_dim("select", dim, x.shape());
  const std::int64_t extent = x.shape()[d], i = index < 0 ? index + extent : index;
  if (i < 0 || i >= extent)
    reject("select", "index {} of dimension {} is outside of x {}", index, d, x.shape());
  return x.view(x.shape().without(d), x.strides().without(d), x.offset() + i * x.strides()[d]);
}

Tensor permute(const Tensor& x, std::span<const int> order) {
  Shape shape, strides;
  unsigned seen = 0;
  for (const int dim : order) {
    const int d = normalize_dim("permute", dim, x.shape());
    if (seen >> d & 1u) reject("permute", "dimension {} of x {} is named twice", dim, x.shape());
    seen |= 1u << d;
    shape.push_back(x.shape()[d]);
    strides.push_back(x.strides()[d]);
  }
  if (shape.rank() != x.rank())
    reject("permute", "the order has {} dimensions, x {} has {}", order.size(), x.shape(), x.rank());
  return x.view(shape, strides, x.offset());
}

Tensor transpose(const Tensor& x, int dim0, int dim1) {
  const int a = normalize_dim("transpose", dim0, x.shape()), b = normalize_dim("transpose", dim1, x.shape());
  Shape shape = x.shape();
  Strides strides = x.strides();
  std::swap(shape[a], shape[b]);
  std::swap(strides[a], strides[b]);
  return x.view(shape, strides, x.offset());
}

Tensor expand(const Tensor& x, const Shape& shape) {
  const int lead = shape.rank() - x.rank();
  Strides strides = shape;
  for (int d = 0; d < shape.rank(); ++d) {
    const std::int64_t extent = d >= lead ? x.shape()[d - lead] : 1;
    if (lead < 0 || (extent != 1 && extent != shape[d]))
      reject("expand", "x {} cannot become {}: only extents of 1 repeat", x.shape(), shape);
    strides[d] = extent == 1 ? 0 : x.strides()[d - lead];
  }
  if (lead < 0) reject("expand", "x {} cannot become {}, which has fewer dimensions", x.shape(), shape);
  return x.view(shape, strides, x.offset());
}

Tensor unsqueeze(const Tensor& x, int dim) {
  const int d = dim < 0 ? dim + x.rank() + 1 : dim;
  if (d < 0 || d > x.rank()) reject("unsqueeze", "dimension {} is outside of x {} plus one", dim, x.shape());
  Shape shape, strides;
  for (int i = 0; i <= x.rank(); ++i) {
    if (i == d) {
      shape.push_back(1);
      strides.push_back(1);
    }
    if (i < x.rank()) {
      shape.push_back(x.shape()[i]);
      strides.push_back(x.strides()[i]);
    }
  }
  return x.view(shape, strides, x.offset());
}

Tensor squeeze(const Tensor& x, int dim) {
  const int d = normalize_dim("squeeze", dim, x.shape());
  if (x.shape()[d] != 1)
    reject("squeeze", "dimension {} of x {} has extent {}, not 1", dim, x.shape(), x.shape()[d]);
  return x.view(x.shape().without(d), x.strides().without(d), x.offset());
}

Tensor rolling_window(const Tensor& x, std::int64_t length) {
  if (x.rank() < 1) reject("rolling_window", "x needs a time dimension, got shape {}", x.shape());
  const std::int64_t frames = x.shape()[0];
  if (length < 1 || length > frames)
    reject("rolling_window", "windows of {} frames do not fit x {}, which has {}", length, x.shape(), frames);
  Shape shape{frames - length + 1, length};
  Strides strides{x.strides()[0], x.strides()[0]};
  for (int d = 1; d < x.rank(); ++d) {
    shape.push_back(x.shape()[d]);
    strides.push_back(x.strides()[d]);
  }
  return x.view(shape, strides, x.offset());
}

}  // namespace fovea
