// SPDX-License-Identifier: Apache-2.0
#include "kernels/ops/optimizer_step.h"

#include "kernels/cpu/long_row.h"
#include "kernels/cpu/queue.h"
#include "kernels/cpu/vec.h"

/// Every element is read and written once: 28 bytes for Adam (value, gradient and two moments in; value and
/// two moments out), 12 for plain SGD, 20 with momentum; RMSprop 20, and 8 more for each of momentum and
/// centering.
namespace fovea::kernels {
namespace {

using cpu::Vec;
using std::int64_t;

/// Calls update(slot, i, lanes) for vectors that cover all elements of all slots.
template <class Update>
void for_vectors(cpu::Queue& q, std::span<const OptimizerSlot> slots, const Update& update) {
  cpu::for_pieces(q, slots, [&](int64_t, const OptimizerSlot& slot, int64_t i, int64_t stop) {
    for (; i + Vec::kLanes <= stop; i += Vec::kLanes) update(slot, i, Vec::kLanes);
    if (i < stop) update(slot, i, static_cast<int>(stop - i));
  });
}

float correction(float beta, std::uint32_t t) {
  return static_cast<float>(1.0 / (1.0 - __builtin_pow(static_cast<double>(beta), static_cast<double>(t))));
}

}  // namespace

void advance_clock(cpu::Queue&, float beta1, float beta2, OptimizerClock* clock) {
  if (clock->stopped != 0) return;
  ++clock->steps;
  clock->correction1 = correction(beta1, clock->steps);
  clock->correction2 = correction(beta2, clock->steps);
}

void adam_step(cpu::Queue& q, std::span<const OptimizerSlot> slots, const AdamOptions& options,
               const OptimizerClock* clock) {
  if (clock->stopped != 0) return;
  const Vec beta1 = Vec::all(options.beta1), rest1 = Vec::all(1.0f - options.beta1);
  const Vec beta2 = Vec::all(options.beta2), rest2 = Vec::all(1.0f - options.beta2);
  const Vec eps = Vec::all(options.eps), correction2 = Vec::all(clock->correction2);
  const float lr = clock->lr, correction1 = clock->correction1;
  const bool decoupled = options.decoupled;
  for_vectors(q, slots, [=](const OptimizerSlot& s, int64_t i, int lanes) {
    Vec value = cpu::load(s.value + i, lanes), grad = cpu::load(s.grad + i, lanes);
    const float step_size = lr * s.lr_scale;
    if (decoupled)
      value = fma(Vec::all(-step_size * s.weight_decay), value, value);
    else
      grad = fma(Vec::all(s.weight_decay), value, grad);
    const Vec m = fma(rest1, grad, beta1 * cpu::load(s.moment1 + i, lanes));
    const Vec v = fma(rest2, grad * grad, beta2 * cpu::load(s.moment2 + i, lanes));
    cpu::store(s.moment1 + i, lanes, m);
    cpu::store(s.moment2 + i, lanes, v);
    cpu::store(s.value + i, lanes,
               fma(Vec::all(-step_size * correction1), m / (sqrt(v * correction2) + eps), value));
  });
}

void sgd_step(cpu::Queue& q, std::span<const OptimizerSlot> slots, const SgdOptions& options,
              const OptimizerClock* clock) {
  if (clock->stopped != 0) return;
  const float lr = clock->lr;
  const Vec momentum = Vec::all(options.momentum);
  const bool with_momentum = options.momentum != 0.0f, nesterov = options.nesterov;
  for_vectors(q, slots, [=](const OptimizerSlot& s, int64_t i, int lanes) {
    const Vec value = cpu::load(s.value + i, lanes);
    Vec step = fma(Vec::all(s.weight_decay), value, cpu::load(s.grad + i, lanes));
    if (with_momentum) {
      const Vec buffer = fma(momentum, cpu::load(s.moment1 + i, lanes), step);
      cpu::store(s.moment1 + i, lanes, buffer);
      step = nesterov ? fma(momentum, buffer, step) : buffer;
    }
    cpu::store(s.value + i, lanes, fma(Vec::all(-lr * s.lr_scale), step, value));
  });
}

void rmsprop_step(cpu::Queue& q, std::span<const OptimizerSlot> slots, const RmspropOptions& options,
                  const OptimizerClock* clock) {
  if (clock->stopped != 0) return;
  const float lr = clock->lr;
  if (clock->stopped != 0) return;
  const Vec alpha = Vec::all(options.alpha), rest = Vec::all(1.0f - options.alpha),
            eps = Vec::all(options.eps);
  const Vec momentum = Vec::all(options.momentum);
  const bool with_momentum = options.momentum != 0.0f, centered = options.centered;
  for_vectors(q, slots, [=](const OptimizerSlot& s, int64_t i, int lanes) {
    const Vec value = cpu::load(s.value + i, lanes);
    const Vec grad = fma(Vec::all(s.weight_decay), value, cpu::load(s.grad + i, lanes));
    Vec v = fma(rest, grad * grad, alpha * cpu::load(s.moment2 + i, lanes));
    cpu::store(s.moment2 + i, lanes, v);
    if (centered) {
      const Vec mean = fma(rest, grad, alpha * cpu::load(s.moment3 + i, lanes));
      cpu::store(s.moment3 + i, lanes, mean);
      v = max(Vec::zero(), v - mean * mean);  // NaN stays: the second operand
    }
    Vec step = grad / (sqrt(v) + eps);
    if (with_momentum) {
      step = fma(momentum, cpu::load(s.moment1 + i, lanes), step);
      cpu::store(s.moment1 + i, lanes, step);
    }
    cpu::store(s.value + i, lanes, fma(Vec::all(-lr * s.lr_scale), step, value));
  });
}

}  // namespace fovea::kernels
