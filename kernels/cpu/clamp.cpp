// SPDX-License-Identifier: Apache-2.0
#include "kernels/ops/clamp.h"

#include "kernels/convert.h"
#include "kernels/cpu/loops.h"
#include "kernels/cpu/queue.h"

namespace fovea {

void kernels::clamp(cpu::Queue& queue, std::int64_t count, DType dtype, double low, double high,
                    const void* x, void* y) {
  with_float_type(dtype, [&]<class T>(TypeTag<T>) {
    const T* in = static_cast<const T*>(x);
    T* out = static_cast<T*>(y);
    const T least = static_cast<T>(low), greatest = static_cast<T>(high);
    cpu::for_ranges(queue, count, [&](std::int64_t first, std::int64_t last) {
      for (std::int64_t i = first; i < last; ++i) {
        const T raised = in[i] < least ? least : in[i];
        out[i] = raised > greatest ? greatest : raised;
      }
    });
  });
}

void kernels::clamp_grad(cpu::Queue& queue, std::int64_t count, DType dtype, double low, double high,
                         const void* x, const void* dy, void* dx) {
  with_float_type(dtype, [&]<class T>(TypeTag<T>) {
    const T *in = static_cast<const T*>(x), *slope = static_cast<const T*>(dy);
    T* out = static_cast<T*>(dx);
    const T least = static_cast<T>(low), greatest = static_cast<T>(high);
    cpu::for_ranges(queue, count, [&](std::int64_t first, std::int64_t last) {
      for (std::int64_t i = first; i < last; ++i) {
        const bool inside = (in[i] >= least) & (in[i] <= greatest);  // no branch: vectors
        out[i] = inside ? slope[i] : T(0);
      }
    });
  });
}

}  // namespace fovea
