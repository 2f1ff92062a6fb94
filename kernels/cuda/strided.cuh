// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstdint>

#include "kernels/cuda/access.cuh"
#include "kernels/division.h"
#include "kernels/geometry.h"

namespace fovea::gpu {

using fovea::divide, fovea::Division;

template <int kOperands>
struct Offsets {
  std::int64_t of[kOperands];
};

/// Where element i (row-major) of each operand lies.
template <int kOperands>
__device__ __forceinline__ Offsets<kOperands> offsets_at(const Strided& shape, std::int64_t i) {
  Offsets<kOperands> offsets = {};
  for (int d = kMaxRank - 1; d >= 0; --d) {  // a constant bound: unrolled, so that `shape` stays in registers
    if (d >= shape.rank) continue;
    const Division step = divide(i, shape.extent[d]);
    for (int k = 0; k < kOperands; ++k) offsets.of[k] += step.remainder * shape.stride[k][d];
    i = step.quotient;
  }
  return offsets;
}

/// True if operand k lies in memory in the order of the loops: element i is at i.
inline bool is_flat(const Strided& shape, int k) {
  return shape.rank == 0 || (shape.rank == 1 && (shape.stride[k][0] == 1 || shape.extent[0] == 1));
}
/// True if operand k is one repeated element.
inline bool is_repeated(const Strided& shape, int k) { return shape.rank == 1 && shape.stride[k][0] == 0; }

}  // namespace fovea::gpu
