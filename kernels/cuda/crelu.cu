// SPDX-License-Identifier: Apache-2.0
#include "kernels/ops/crelu.h"

#include "kernels/convert.h"
#include "kernels/cuda/access.cuh"
#include "kernels/cuda/strided.cuh"
#include "kernels/function.h"
#include "kernels/simt/simt.h"

/// Limited by memory: 12 bytes per f32 element of x forward, 20 backward, in packs of 16 bytes where rows are
/// whole packs; 85 % of the memory roof is what to expect.
namespace fovea {
namespace {

constexpr int kThreads = 256;

/// `inner` counts packs.
template <int kWidth, class T>
__global__ void crelu_kernel(std::int64_t packs, std::int64_t inner, const T* __restrict__ x,
                             T* __restrict__ y) {
  for (const std::int64_t i : gpu::grid_stride(packs)) {
    const std::int64_t above = i + gpu::divide(i, inner).quotient * inner;
    auto values = gpu::load_pack<kWidth>(x, i);
    gpu::Pack<T, kWidth> negated;
    for (int k = 0; k < kWidth; ++k) {
      negated[k] = value_of<Function::relu>(-values[k]);
      values[k] = value_of<Function::relu>(values[k]);
    }
    gpu::store_pack(y, above, values);
    gpu::store_pack(y, above + inner, negated);
  }
}

template <int kWidth, class T>
__global__ void crelu_grad_kernel(std::int64_t packs, std::int64_t inner, const T* __restrict__ y,
                                  const T* __restrict__ dy, T* __restrict__ dx) {
  for (const std::int64_t i : gpu::grid_stride(packs)) {
    const std::int64_t above = i + gpu::divide(i, inner).quotient * inner;
    const auto y_above = gpu::load_pack<kWidth>(y, above), y_below = gpu::load_pack<kWidth>(y, above + inner);
    auto slope = gpu::load_pack<kWidth>(dy, above);
    const auto slope_below = gpu::load_pack<kWidth>(dy, above + inner);
    for (int k = 0; k < kWidth; ++k)
      slope[k] = (y_above[k] > T(0) ? slope[k] : T(0)) - (y_below[k] > T(0) ? slope_below[k] : T(0));
    gpu::store_pack(dx, i, slope);
  }
}

}  // namespace

void kernels::crelu(gpu::Queue& queue, std::int64_t outer, std::int64_t inner, DType dtype, const void* x,
                    void* y) {
  with_float_type(dtype, [&]<class T>(TypeTag<T>) {
    constexpr int kWidth = gpu::kPackWidth<T>;
    const T* in = static_cast<const T*>(x);
    T* out = static_cast<T*>(y);
    const bool packed = gpu::can_pack<kWidth>(inner, in, out);
    const std::int64_t width = packed ? kWidth : 1, packs = outer * inner / width;
    launch(queue, "crelu", packed ? crelu_kernel<kWidth, T> : crelu_kernel<1, T>,
           gpu::blocks_for(packs, kThreads), kThreads, 0, packs, inner / width, in, out);
  });
}

void kernels::crelu_grad(gpu::Queue& queue, std::int64_t outer, std::int64_t inner, DType dtype,
                         const void* y, const void* dy, void* dx) {
  with_float_type(dtype, [&]<class T>(TypeTag<T>) {
    constexpr int kWidth = gpu::kPackWidth<T>;
    const T *value = static_cast<const T*>(y), *slope = static_cast<const T*>(dy);
    T* out = static_cast<T*>(dx);
    const bool packed = gpu::can_pack<kWidth>(inner, value, slope, out);
    const std::int64_t width = packed ? kWidth : 1, packs = outer * inner / width;
    launch(queue, "crelu_grad", packed ? crelu_grad_kernel<kWidth, T> : crelu_grad_kernel<1, T>,
           gpu::blocks_for(packs, kThreads), kThreads, 0, packs, inner / width, value, slope, out);
  });
}

}  // namespace fovea
