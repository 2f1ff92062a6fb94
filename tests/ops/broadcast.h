// SPDX-License-Identifier: Apache-2.0
#pragma once

#include "tensor/shape.h"

namespace fovea::test {

/// The element of an operand of `shape` that broadcasting puts at element `index` of `result`.
inline std::size_t broadcast_source(const Shape& shape, const Shape& result, std::int64_t index) {
  std::int64_t at = 0, step = 1;
  for (int d = result.rank() - 1; d >= 0; --d) {
    const int own = d - (result.rank() - shape.rank());
    const std::int64_t i = index % result[d];
    index /= result[d];
    if (own < 0) continue;
    if (shape[own] != 1) at += i * step;
    step *= shape[own];
  }
  return static_cast<std::size_t>(at);
}

}  // namespace fovea::test
