// SPDX-License-Identifier: Apache-2.0
#include "kernels/ops/where.h"

#include "kernels/convert.h"
#include "kernels/cpu/loops.h"
#include "kernels/cpu/queue.h"

namespace fovea {
namespace {

/// Both values are read before one is chosen: a loop without a branch becomes vectors.
template <class T>
void choose(std::int64_t n, const std::int64_t (&step)[4], const std::uint8_t* mask, const T* a, const T* b,
            T* y) {
  const auto loop = [&](std::int64_t y_step, std::int64_t mask_step, std::int64_t a_step,
                        std::int64_t b_step) {
    for (std::int64_t i = 0; i < n; ++i) {
      const T left = a[i * a_step], right = b[i * b_step];
      y[i * y_step] = mask[i * mask_step] != 0 ? left : right;
    }
  };
  const bool rows = step[0] == 1 && step[1] == 1;
  if (rows && step[2] == 1 && step[3] == 1) return loop(1, 1, 1, 1);
  if (rows && step[2] == 1 && step[3] == 0) return loop(1, 1, 1, 0);
  if (rows && step[2] == 0 && step[3] == 1) return loop(1, 1, 0, 1);
  loop(step[0], step[1], step[2], step[3]);
}

}  // namespace

void kernels::where(cpu::Queue& queue, const Strided& shape, DType dtype, const std::uint8_t* mask,
                    const void* a, const void* b, void* y) {
  with_float_type(dtype, [&]<class T>(TypeTag<T>) {
    const T *left = static_cast<const T*>(a), *right = static_cast<const T*>(b);
    T* out = static_cast<T*>(y);
    std::int64_t step[4] = {1, 1, 1, 1};
    for (int k = 0; k < 4 && shape.rank > 0; ++k) step[k] = shape.stride[k][shape.rank - 1];
    cpu::for_runs<4>(queue, shape, [&](std::int64_t n, const std::int64_t(&at)[4]) {
      choose(n, step, mask + at[1], left + at[2], right + at[3], out + at[0]);
    });
  });
}

}  // namespace fovea
