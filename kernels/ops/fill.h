// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstdint>

#include "kernels/dtype.h"
#include "kernels/philox.h"
#include "kernels/queues.h"

namespace fovea::kernels {

/// y[0..count) = value, converted to dtype.
FOVEA_KERNEL(fill, std::int64_t count, double value, void* y, DType dtype);

/// y[i] = low + (high - low)·u_i with u_i uniform in [0, 1) from (key, i).
FOVEA_KERNEL(fill_uniform, std::int64_t count, philox::Key key, float low, float high, float* y);

/// y[i] = mean + sd·n_i with n_i standard normal from (key, i).
FOVEA_KERNEL(fill_normal, std::int64_t count, philox::Key key, float mean, float sd, float* y);

}  // namespace fovea::kernels
