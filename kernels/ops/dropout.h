// SPDX-License-Identifier: Apache-2.0
#pragma once

#include "kernels/philox.h"
#include "kernels/queues.h"

namespace fovea::kernels {

/// y[i] = x[i]/(1 − p) if uniform ⌊i/group⌋ of the key is at least p, else 0; nothing else is stored, so the
/// gradient is the same call on dy. group ≥ 1 elements share a decision. y may be x.
FOVEA_KERNEL(dropout, std::int64_t count, std::int64_t group, philox::Key key, float p, const float* x,
             float* y);

}  // namespace fovea::kernels
