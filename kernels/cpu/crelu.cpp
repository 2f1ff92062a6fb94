// SPDX-License-Identifier: Apache-2.0
#include "kernels/ops/crelu.h"

#include "kernels/convert.h"
#include "kernels/cpu/loops.h"
#include "kernels/cpu/queue.h"
#include "kernels/function.h"

namespace fovea {
namespace {

/// f(o, first, n) for runs of n elements of x[outer, inner] that stay in one row.
template <class F>
void for_row_runs(cpu::Queue& queue, std::int64_t outer, std::int64_t inner, F&& f) {
  cpu::for_ranges(queue, outer * inner, [&](std::int64_t first, std::int64_t last) {
    for (std::int64_t i = first; i < last;) {
      const std::int64_t o = i / inner, column = i % inner, n = cpu::least(inner - column, last - i);
      f(o, column, n);
      i += n;
    }
  });
}

}  // namespace

void kernels::crelu(cpu::Queue& queue, std::int64_t outer, std::int64_t inner, DType dtype, const void* x,
                    void* y) {
  with_float_type(dtype, [&]<class T>(TypeTag<T>) {
    for_row_runs(queue, outer, inner, [&](std::int64_t o, std::int64_t first, std::int64_t n) {
      const T* in = static_cast<const T*>(x) + o * inner + first;
      T* above = static_cast<T*>(y) + 2 * o * inner + first;
      T* below = above + inner;
      for (std::int64_t i = 0; i < n; ++i) {
        const T value = in[i];
        above[i] = value_of<Function::relu>(value);
        below[i] = value_of<Function::relu>(-value);
      }
    });
  });
}

void kernels::crelu_grad(cpu::Queue& queue, std::int64_t outer, std::int64_t inner, DType dtype,
                         const void* y, const void* dy, void* dx) {
  with_float_type(dtype, [&]<class T>(TypeTag<T>) {
    for_row_runs(queue, outer, inner, [&](std::int64_t o, std::int64_t first, std::int64_t n) {
      const T* above = static_cast<const T*>(y) + 2 * o * inner + first;
      const T* below = above + inner;
      const T* slope_above = static_cast<const T*>(dy) + 2 * o * inner + first;
      const T* slope_below = slope_above + inner;
      T* out = static_cast<T*>(dx) + o * inner + first;
      for (std::int64_t i = 0; i < n; ++i)
        out[i] = (above[i] > T(0) ? slope_above[i] : T(0)) - (below[i] > T(0) ? slope_below[i] : T(0));
    });
  });
}

}  // namespace fovea
