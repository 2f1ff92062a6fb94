// SPDX-License-Identifier: Apache-2.0
#include "kernels/ops/bias_activation.h"

#include "kernels/cpu/loops.h"
#include "kernels/cpu/queue.h"
#include "kernels/cpu/vec_function.h"

namespace fovea {

void kernels::bias_activation(cpu::Queue& queue, Function f, std::int64_t batch, std::int64_t channels,
                              std::int64_t inner, const float* x, const float* bias, float* y) {
  with_function(f, [&]<Function kF>(FunctionTag<kF>) {
    cpu::for_ranges(queue, batch * channels * inner, [&](std::int64_t first, std::int64_t last) {
      // Runs along the dimension that is contiguous: channels for units, a plane of one channel for maps.
      for (std::int64_t i = first; i < last;) {
        std::int64_t n;
        if (inner == 1) {
          const std::int64_t c = i % channels;
          n = cpu::least(channels - c, last - i);
          if constexpr (cpu::has_vector_form(kF))
            cpu::store_values<kF>(
                n,
                [=](std::int64_t k, int lanes) {
                  return cpu::load(x + i + k, lanes) + cpu::load(bias + c + k, lanes);
                },
                y + i);
          else
            for (std::int64_t k = 0; k < n; ++k) y[i + k] = value_of<kF>(x[i + k] + bias[c + k]);
        } else {
          const float shift = bias[i / inner % channels];
          n = cpu::least(inner - i % inner, last - i);
          if constexpr (cpu::has_vector_form(kF))
            cpu::store_values<kF>(
                n,
                [=](std::int64_t k, int lanes) { return cpu::load(x + i + k, lanes) + cpu::Vec::all(shift); },
                y + i);
          else
            for (std::int64_t k = 0; k < n; ++k) y[i + k] = value_of<kF>(x[i + k] + shift);
        }
        i += n;
      }
    });
  });
}

void kernels::bias_activation_grad(cpu::Queue& queue, Function f, std::int64_t count, const float* y,
                                   const float* dy, float* dx) {
  with_function(f, [&]<Function kF>(FunctionTag<kF>) {
    cpu::for_ranges(queue, count, [&](std::int64_t first, std::int64_t last) {
      if constexpr (kF == Function::softplus)
        return cpu::store_softplus_slopes(last - first, y + first, dy + first, dx + first);
      for (std::int64_t i = first; i < last; ++i) dx[i] = dy[i] * slope_of<kF>(0.0f, y[i]);
    });
  });
}

}  // namespace fovea
