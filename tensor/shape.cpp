// SPDX-License-Identifier: Apache-2.0
#include "tensor/shape.h"

#include <fmt/ranges.h>

#include <algorithm>

#include "tensor/errors.h"

namespace fovea {

Shape::Shape(std::initializer_list<std::int64_t> extents)
    : Shape(std::span(extents.begin(), extents.size())) {}

Shape::Shape(std::span<const std::int64_t> extents) {
  if (extents.size() > kMaxRank)
    reject("shape", "[{}] has rank {}, at most {} is supported", fmt::join(extents, ", "), extents.size(),
           kMaxRank);
  std::copy(extents.begin(), extents.end(), extents_.begin());
  rank_ = static_cast<int>(extents.size());
}

std::int64_t Shape::numel() const {
  std::int64_t n = 1;
  for (const std::int64_t extent : *this) n *= extent;
  return n;
}

void Shape::push_back(std::int64_t extent) {
  if (rank_ == kMaxRank) reject("shape", "{} cannot grow past rank {}", *this, kMaxRank);
  extents_[static_cast<std::size_t>(rank_++)] = extent;
}

Shape Shape::without(int dim) const {
  Shape result;
  for (int d = 0; d < rank_; ++d)
    if (d != dim) result.push_back((*this)[d]);
  return result;
}

bool Shape::operator==(const Shape& other) const {
  return std::equal(begin(), end(), other.begin(), other.end());
}

std::string Shape::str() const { return fmt::format("[{}]", fmt::join(begin(), end(), ", ")); }

Strides contiguous_strides(const Shape& shape) {
  Strides strides = shape;
  std::int64_t step = 1;
  for (int d = shape.rank() - 1; d >= 0; --d) {
    strides[d] = step;
    step *= shape[d];
  }
  return strides;
}

Shape broadcast(const char* op, const Shape& a, const Shape& b) {
  const int rank = std::max(a.rank(), b.rank());
  Shape result;
  for (int d = 0; d < rank; ++d) {
    const int i = d - (rank - a.rank()), j = d - (rank - b.rank());
    const std::int64_t x = i >= 0 ? a[i] : 1, y = j >= 0 ? b[j] : 1;
    if (x != y && x != 1 && y != 1)
      reject(op, "cannot broadcast {} with {}: extents {} and {} differ and neither is 1", a, b, x, y);
    result.push_back(x == 1 ? y : x);
  }
  return result;
}

int normalize_dim(const char* op, int dim, const Shape& shape) {
  const int rank = shape.rank();
  if (dim < -rank || dim >= rank) reject(op, "dimension {} is outside of x {} of rank {}", dim, shape, rank);
  return dim < 0 ? dim + rank : dim;
}

}  // namespace fovea
