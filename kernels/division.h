// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstdint>

#include "kernels/host_device.h"

namespace fovea {

struct Division {
  std::int64_t quotient, remainder;
};

/// i / d and i % d for i ≥ 0, d > 0. A 64-bit division takes some 70 instructions of a GPU, a 32-bit one 20, and
/// almost all indices fit; the branch is the same for all lanes of a warp but one warp in four billion.
FOVEA_HOST_DEVICE Division divide(std::int64_t i, std::int64_t d) {
  if (((i | d) >> 32) == 0) {
    const std::uint32_t small = static_cast<std::uint32_t>(i), by = static_cast<std::uint32_t>(d);
    const std::uint32_t quotient = small / by;
    return {static_cast<std::int64_t>(quotient), static_cast<std::int64_t>(small - quotient * by)};
  }
  return {i / d, i % d};
}

}  // namespace fovea
