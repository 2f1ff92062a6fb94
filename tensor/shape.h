// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <fmt/format.h>

#include <array>
#include <cstdint>
#include <initializer_list>
#include <span>
#include <string>

#include "kernels/geometry.h"

namespace fovea {

/// Up to kMaxRank extents (or strides), stored in place. Rank 0 is a scalar.
class Shape {
 public:
  Shape() = default;
  /// throws ShapeError if there are more than kMaxRank extents
  Shape(std::initializer_list<std::int64_t> extents);
  explicit Shape(std::span<const std::int64_t> extents);

  int rank() const { return rank_; }
  std::int64_t operator[](int dim) const { return extents_[static_cast<std::size_t>(dim)]; }
  std::int64_t& operator[](int dim) { return extents_[static_cast<std::size_t>(dim)]; }
  const std::int64_t* begin() const { return extents_.data(); }
  const std::int64_t* end() const { return extents_.data() + rank_; }
  std::int64_t back() const { return (*this)[rank_ - 1]; }
  /// Product of the extents; 1 for a scalar.
  std::int64_t numel() const;
  void push_back(std::int64_t extent);
  Shape without(int dim) const;
  bool operator==(const Shape& other) const;
  /// "[8, 3, 32, 32]"
  std::string str() const;

 private:
  std::array<std::int64_t, kMaxRank> extents_{};
  int rank_ = 0;
};

using Strides = Shape;

/// Row-major strides of a shape.
Strides contiguous_strides(const Shape& shape);

/// NumPy's broadcasting: align at the right, extents equal or 1.
/// throws ShapeError naming op and both shapes
Shape broadcast(const char* op, const Shape& a, const Shape& b);

/// Accepts -rank..rank-1; throws ShapeError naming op, dim and shape.
int normalize_dim(const char* op, int dim, const Shape& shape);

}  // namespace fovea

template <>
struct fmt::formatter<fovea::Shape> : fmt::formatter<std::string_view> {
  auto format(const fovea::Shape& shape, format_context& context) const {
    return formatter<std::string_view>::format(shape.str(), context);
  }
};
