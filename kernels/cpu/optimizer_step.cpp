// SPDX-License-Identifier: Apache-2.0
#include "kernels/ops/optimizer_step.h"

#include "kernels/cpu/queue.h"
#include "kernels/cpu/vec.h"

/// All tensors are taken as one long row of elements, cut into equal parts: fifty biases cost no more than
/// one matrix of their size. Every element is read and written once: 28 bytes for Adam (value, gradient and
/// two moments in; value and two moments out), 12 for plain SGD, 20 with momentum.
namespace fovea::kernels {
namespace {

using cpu::Vec;
using std::int64_t;

constexpr int64_t kPart = 8192;  // elements

/// Calls update(slot, i, lanes) for vectors that cover all elements of all slots.
template <class Update>
void for_vectors(cpu::Queue& q, std::span<const OptimizerSlot> slots, const Update& update) {
  const OptimizerSlot* const first_slot = slots.data();
  const OptimizerSlot* const last_slot = first_slot + slots.size();
  int64_t total = 0;
  for (const OptimizerSlot* slot = first_slot; slot != last_slot; ++slot) total += slot->count;
  cpu::for_parts(q, (total + kPart - 1) / kPart, [&](int64_t part) {
    const int64_t first = part * kPart, last = first + kPart;  // in the long row
    int64_t begin = 0;                                         // of the slot, in the long row
    for (const OptimizerSlot* slot = first_slot; slot != last_slot && begin < last; ++slot) {
      const int64_t end = begin + slot->count;
      int64_t i = first > begin ? first - begin : 0;
      const int64_t stop = (last < end ? last : end) - begin;
      for (; i + Vec::kLanes <= stop; i += Vec::kLanes) update(*slot, i, Vec::kLanes);
      if (i < stop) update(*slot, i, static_cast<int>(stop - i));
      begin = end;
    }
  });
}

}  // namespace

void adam_step(cpu::Queue& q, std::span<const OptimizerSlot> slots, const AdamOptions& options,
               const OptimizerClock* clock) {
  const Vec beta1 = Vec::all(options.beta1), rest1 = Vec::all(1.0f - options.beta1);
  const Vec beta2 = Vec::all(options.beta2), rest2 = Vec::all(1.0f - options.beta2);
  const Vec eps = Vec::all(options.eps), correction2 = Vec::all(clock->correction2);
  const Vec rate = Vec::all(-clock->lr * clock->correction1);
  for_vectors(q, slots, [=](const OptimizerSlot& s, int64_t i, int lanes) {
    const Vec value = cpu::load(s.value + i, lanes);
    const Vec grad = fma(Vec::all(s.weight_decay), value, cpu::load(s.grad + i, lanes));
    const Vec m = fma(rest1, grad, beta1 * cpu::load(s.moment1 + i, lanes));
    const Vec v = fma(rest2, grad * grad, beta2 * cpu::load(s.moment2 + i, lanes));
    cpu::store(s.moment1 + i, lanes, m);
    cpu::store(s.moment2 + i, lanes, v);
    cpu::store(s.value + i, lanes, fma(rate, m / (sqrt(v * correction2) + eps), value));
  });
}

void sgd_step(cpu::Queue& q, std::span<const OptimizerSlot> slots, const SgdOptions& options,
              const OptimizerClock* clock) {
  const Vec rate = Vec::all(-clock->lr), momentum = Vec::all(options.momentum);
  const bool with_momentum = options.momentum != 0.0f;
  for_vectors(q, slots, [=](const OptimizerSlot& s, int64_t i, int lanes) {
    const Vec value = cpu::load(s.value + i, lanes);
    Vec step = fma(Vec::all(s.weight_decay), value, cpu::load(s.grad + i, lanes));
    if (with_momentum) {
      step = fma(momentum, cpu::load(s.moment1 + i, lanes), step);
      cpu::store(s.moment1 + i, lanes, step);
    }
    cpu::store(s.value + i, lanes, fma(rate, step, value));
  });
}

}  // namespace fovea::kernels
