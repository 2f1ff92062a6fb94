// SPDX-License-Identifier: Apache-2.0
#pragma once

#include "kernels/dtype.h"
#include "kernels/queues.h"

namespace fovea {

/// Picks along the middle of x[outer, rows, inner]: y[outer, count, inner].
struct Gather {
  std::int64_t outer = 1, rows = 1, count = 1, inner = 1;
  bool shared = false;  ///< index[count], one for whole rows; else index[outer, count, inner]
};

}  // namespace fovea

/// dtype is f32 or f64. An index outside of 0..rows-1 picks NaN, and the gradient passes it by: no kernel
/// throws, and no device reads indices before it starts one.
namespace fovea::kernels {

/// y[o, k, i] = x[o, index, i].
FOVEA_KERNEL(gather, const Gather& shape, DType dtype, const void* x, const std::int64_t* index, void* y);

/// dx[o, r, i] = Σ dy[o, k, i] over all k whose index is r, k ascending; 0 if there is none.
FOVEA_KERNEL(gather_grad, const Gather& shape, DType dtype, const std::int64_t* index, const void* dy,
             void* dx);

}  // namespace fovea::kernels
