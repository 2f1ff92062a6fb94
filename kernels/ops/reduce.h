// SPDX-License-Identifier: Apache-2.0
#pragma once

#include "kernels/dtype.h"
#include "kernels/geometry.h"
#include "kernels/queues.h"

/// Sums are taken in a fixed tree given by the shape alone: the same bits for any number of threads.
namespace fovea::kernels {

/// y[outer, inner] = scale·Σ_width x[outer, width, inner]; f32 or f64. An empty sum is 0.
FOVEA_KERNEL(reduce_sum, const Reduce& shape, DType dtype, double scale, const void* x, void* y);

/// y[c] = Σ_{n,i} x[n, c, i], f32: the gradient of a bias.
FOVEA_KERNEL(channel_sum, std::int64_t batch, std::int64_t channels, std::int64_t inner, const float* x,
             float* y);

}  // namespace fovea::kernels
