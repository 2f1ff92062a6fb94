// SPDX-License-Identifier: Apache-2.0
#pragma once

#include "kernels/philox.h"
#include "kernels/queues.h"

namespace fovea::kernels {

/// y[i] = x[i] + sigma·n_i, n_i standard normal from (key, i), never stored. y may be x.
FOVEA_KERNEL(gaussian_noise, std::int64_t count, philox::Key key, float sigma, const float* x, float* y);

}  // namespace fovea::kernels
