// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstdint>
#include <optional>

#include "kernels/dtype.h"
#include "tensor/shape.h"

namespace fovea {

/// Bytes of a contiguous tensor. Nothing if an extent is negative, or if bytes or strides pass 2^62: the
/// extents multiplied, those of 0 left out. For sizes that come from outside.
std::optional<std::uint64_t> checked_bytes(const Shape& shape, DType dtype);

}  // namespace fovea
