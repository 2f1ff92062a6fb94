// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstdint>
#include <span>

#include "kernels/ops/optimizer_step.h"
#include "kernels/queues.h"

namespace fovea {

/// One gradient of many, f32, contiguous.
struct GradientSlot {
  float* grad = nullptr;
  std::int64_t count = 0;
};

}  // namespace fovea

/// Many gradients as one long vector. Nothing is read back from the device.
namespace fovea::kernels {

/// *norm = √Σg² over all of them, in double; device memory. 0 if there are none.
FOVEA_KERNEL(gradient_norm, std::span<const GradientSlot> slots, float* norm);
/// g ← g·min(1, max_norm/(*norm + 1e-6)); where *norm is not finite, g ← NaN.
FOVEA_KERNEL(clip_by_norm, std::span<const GradientSlot> slots, float max_norm, const float* norm);
/// g ← min(max(g, −limit), limit); NaN stays.
FOVEA_KERNEL(clip_by_value, std::span<const GradientSlot> slots, float limit);
/// Stops the clock at the step that follows if *loss or an element of a gradient is not finite, unless it has
/// stopped before. loss may be null.
FOVEA_KERNEL(stop_if_not_finite, std::span<const GradientSlot> slots, const float* loss,
             OptimizerClock* clock);

}  // namespace fovea::kernels
