// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstdint>
#include <span>

#include "kernels/queues.h"

namespace fovea {

/// One parameter tensor in an optimizer step, f32, contiguous. Moments that the optimizer does not use are
/// null.
struct OptimizerSlot {
  float* value = nullptr;
  const float* grad = nullptr;
  float* moment1 = nullptr;  ///< Adam: mean of gradients; SGD and RMSprop: momentum buffer
  float* moment2 = nullptr;  ///< Adam and RMSprop: mean of squares
  float* moment3 = nullptr;  ///< centered RMSprop: mean of gradients
  std::int64_t count = 0;
  float weight_decay = 0.0f;  ///< coupled: grad + weight_decay·value takes the place of grad
  float lr_scale = 1.0f;      ///< the clock's learning rate is multiplied by this
};

struct AdamOptions {
  float beta1 = 0.9f, beta2 = 0.999f, eps = 1e-8f;
  /// AdamW: weight_decay leaves the gradient alone; instead value ← value·(1 − lr·weight_decay) before the
  /// step.
  bool decoupled = false;
};

struct SgdOptions {
  float momentum = 0.0f;
  bool nesterov = false;  ///< g + momentum·buffer is stepped along, where the buffer has been updated
};

struct RmspropOptions {
  float alpha = 0.99f;  ///< share of the mean of squares that stays
  float eps = 1e-8f;
  float momentum = 0.0f;
  bool centered = false;  ///< the mean gradient's square is taken off the mean of squares
};

/// What changes from step to step, in device memory, so that a captured step reads fresh values.
struct OptimizerClock {
  float lr = 0.0f;
  float correction1 = 1.0f;   ///< 1/(1 - beta1^t), t = 1 for the first step
  float correction2 = 1.0f;   ///< 1/(1 - beta2^t)
  std::uint32_t steps = 0;    ///< t: steps taken; before the update of a step, those before it
  std::uint32_t stopped = 0;  ///< 0, or the step (from 1) at which numbers were not finite: no update since
};

}  // namespace fovea

/// One pass over all parameters, updated in place; nothing happens while the clock is stopped.
namespace fovea::kernels {

/// Counts the step that is about to update and computes its corrections, in double, rounded once. Methods without
/// them have beta1 = beta2 = 0.
FOVEA_KERNEL(advance_clock, float beta1, float beta2, OptimizerClock* clock);

/// m ← β1·m + (1 - β1)·g; v ← β2·v + (1 - β2)·g²; value ← value - lr·m̂/(√v̂ + eps)  (Kingma and Ba 2015)
FOVEA_KERNEL(adam_step, std::span<const OptimizerSlot> slots, const AdamOptions& options,
             const OptimizerClock* clock);

/// buffer ← momentum·buffer + g; value ← value - lr·buffer. With momentum 0 no buffer is touched.
FOVEA_KERNEL(sgd_step, std::span<const OptimizerSlot> slots, const SgdOptions& options,
             const OptimizerClock* clock);

/// v ← α·v + (1 - α)·g²; s = g/(√v + eps); value ← value - lr·s, or with momentum buffer ← momentum·buffer +
/// s; value ← value - lr·buffer. Centered: a ← α·a + (1 - α)·g, and √max(v - a², 0) in the place of √v.
FOVEA_KERNEL(rmsprop_step, std::span<const OptimizerSlot> slots, const RmspropOptions& options,
             const OptimizerClock* clock);

}  // namespace fovea::kernels
