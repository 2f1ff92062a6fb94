// SPDX-License-Identifier: Apache-2.0
#include "tensor/checked_bytes.h"

#include <algorithm>

namespace fovea {

std::optional<std::uint64_t> checked_bytes(const Shape& shape, DType dtype) {
  std::int64_t bytes = dtype_bytes(dtype);
  bool empty = false;
  for (const std::int64_t extent : shape) {
    empty = empty || extent == 0;
    if (extent < 0 || bytes > (std::int64_t{1} << 62) / std::max<std::int64_t>(extent, 1))
      return std::nullopt;
    bytes *= std::max<std::int64_t>(extent, 1);
  }
  return empty ? 0 : static_cast<std::uint64_t>(bytes);
}

}  // namespace fovea
