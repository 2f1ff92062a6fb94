// SPDX-License-Identifier: Apache-2.0
#include "kernels/ops/clip.h"

#include "kernels/cpu/long_row.h"
#include "kernels/cpu/queue.h"
#include "kernels/cpu/rows.h"

/// The norm reads 4 bytes an element; clipping reads and writes 8, or nothing where the norm is small enough.
namespace fovea::kernels {

using std::int64_t;

namespace {

/// Σg² in double, in which the square of any finite float is finite.
double sum_of_squares(cpu::Queue& q, std::span<const GradientSlot> slots) {
  const int64_t parts = cpu::blocks_of(cpu::elements_of(slots), cpu::kRowPart);
  Scratch<double> scratch(q, parts, "gradient_norm");
  double* const sums = scratch.data();
  for (int64_t part = 0; part < parts; ++part) sums[part] = 0.0;
  cpu::for_pieces(q, slots, [=](int64_t part, const GradientSlot& slot, int64_t begin, int64_t end) {
    const float* g = slot.grad + begin;
    sums[part] += cpu::sum_of(
        end - begin, [=](int64_t i) { return static_cast<double>(g[i]) * static_cast<double>(g[i]); });
  });
  double sum = 0.0;
  for (int64_t part = 0; part < parts; ++part) sum += sums[part];
  return sum;
}

}  // namespace

void gradient_norm(cpu::Queue& q, std::span<const GradientSlot> slots, float* norm) {
  *norm = static_cast<float>(__builtin_sqrt(sum_of_squares(q, slots)));
}

void stop_if_not_finite(cpu::Queue& q, std::span<const GradientSlot> slots, const float* loss,
                        OptimizerClock* clock) {
  const double all = sum_of_squares(q, slots) + (loss == nullptr ? 0.0 : static_cast<double>(*loss));
  if (!(__builtin_fabs(all) <= __DBL_MAX__) && clock->stopped == 0) clock->stopped = clock->steps + 1;
}

void clip_by_norm(cpu::Queue& q, std::span<const GradientSlot> slots, float max_norm, const float* norm) {
  float scale = max_norm / (*norm + 1e-6f);
  if (scale >= 1.0f) return;
  if (!(*norm <= __FLT_MAX__)) scale = __builtin_nanf("");
  cpu::for_pieces(q, slots, [=](int64_t, const GradientSlot& slot, int64_t begin, int64_t end) {
    for (int64_t i = begin; i < end; ++i) slot.grad[i] *= scale;
  });
}

void clip_by_value(cpu::Queue& q, std::span<const GradientSlot> slots, float limit) {
  cpu::for_pieces(q, slots, [=](int64_t, const GradientSlot& slot, int64_t begin, int64_t end) {
    for (int64_t i = begin; i < end; ++i) {
      const float g = slot.grad[i] > limit ? limit : slot.grad[i];
      slot.grad[i] = g < -limit ? -limit : g;
    }
  });
}

}  // namespace fovea::kernels
