// SPDX-License-Identifier: Apache-2.0
#include "kernels/ops/gather.h"

#include "kernels/convert.h"
#include "kernels/cuda/access.cuh"
#include "kernels/cuda/strided.cuh"
#include "kernels/ops/fill.h"
#include "kernels/simt/simt.h"

/// Forward moves 8 bytes per f32 element picked, and 8 more where each has an index of its own: rows of 32
/// floats and more should reach 80 % of the memory roof, single elements a sector of 32 bytes each.
///
/// Backward fills dx with zeros and then walks the list of indices once for each column, a thread a column:
/// no atomics, and the order of additions is that of the list. It moves 4 bytes per element of dx and 12 per
/// element of dy; a list longer than a few hundred with few columns leaves most of the GPU idle.
namespace fovea {
namespace {

constexpr int kThreads = 256;

__device__ __forceinline__ bool is_row(std::int64_t row, const Gather& s) { return row >= 0 && row < s.rows; }

/// `inner` counts packs.
template <int kWidth, bool kShared, class T>
__global__ void gather_kernel(Gather s, std::int64_t packs, const T* __restrict__ x,
                              const std::int64_t* __restrict__ index, T* __restrict__ y) {
  gpu::Pack<T, kWidth> nan;
  for (int k = 0; k < kWidth; ++k) nan[k] = static_cast<T>(__builtin_nanf(""));
  for (const std::int64_t i : gpu::grid_stride(packs)) {
    const gpu::Division at = gpu::divide(i, s.inner);
    const gpu::Division outer = gpu::divide(at.quotient, s.count);
    const std::int64_t row = index[kShared ? outer.remainder : i];
    gpu::store_pack(y, i,
                    is_row(row, s)
                        ? gpu::load_pack<kWidth>(x, (outer.quotient * s.rows + row) * s.inner + at.remainder)
                        : nan);
  }
}

/// A thread owns a column of packs.
template <int kWidth, bool kShared, class T>
__global__ void gather_grad_kernel(Gather s, std::int64_t columns, const std::int64_t* __restrict__ index,
                                   const T* __restrict__ dy, T* __restrict__ dx) {
  for (const std::int64_t column : gpu::grid_stride(columns)) {
    const gpu::Division at = gpu::divide(column, s.inner);
    for (std::int64_t k = 0; k < s.count; ++k) {
      const std::int64_t from = (at.quotient * s.count + k) * s.inner + at.remainder;
      const std::int64_t row = index[kShared ? k : from];
      if (!is_row(row, s)) continue;
      const std::int64_t to = (at.quotient * s.rows + row) * s.inner + at.remainder;
      const auto added = gpu::load_pack<kWidth>(dy, from);
      auto sum = gpu::load_pack<kWidth>(dx, to);
      for (int lane = 0; lane < kWidth; ++lane) sum[lane] += added[lane];
      gpu::store_pack(dx, to, sum);
    }
  }
}

/// Calls run(width, shape in packs) with a width that divides rows and fits both addresses; an index for each
/// element wants them one by one.
template <class T, class F>
void with_packs(const Gather& shape, const void* a, const void* b, F&& run) {
  constexpr int kWidth = gpu::kPackWidth<T>;
  Gather packed = shape;
  if (shape.shared &&
      gpu::can_pack<kWidth>(shape.inner, static_cast<const T*>(a), static_cast<const T*>(b))) {
    packed.inner /= kWidth;
    run(std::integral_constant<int, kWidth>{}, packed);
  } else {
    run(std::integral_constant<int, 1>{}, packed);
  }
}

}  // namespace

void kernels::gather(gpu::Queue& queue, const Gather& shape, DType dtype, const void* x,
                     const std::int64_t* index, void* y) {
  with_float_type(dtype, [&]<class T>(TypeTag<T>) {
    with_packs<T>(shape, x, y, [&]<int kWidth>(std::integral_constant<int, kWidth>, const Gather& s) {
      const std::int64_t packs = s.outer * s.count * s.inner;
      const auto kernel = s.shared ? gather_kernel<kWidth, true, T> : gather_kernel<1, false, T>;
      launch(queue, "gather", kernel, gpu::blocks_for(packs, kThreads), kThreads, 0, s, packs,
             static_cast<const T*>(x), index, static_cast<T*>(y));
    });
  });
}

void kernels::gather_grad(gpu::Queue& queue, const Gather& shape, DType dtype, const std::int64_t* index,
                          const void* dy, void* dx) {
  fill(queue, shape.outer * shape.rows * shape.inner, 0.0, dx, dtype);
  with_float_type(dtype, [&]<class T>(TypeTag<T>) {
    with_packs<T>(shape, dy, dx, [&]<int kWidth>(std::integral_constant<int, kWidth>, const Gather& s) {
      const std::int64_t columns = s.outer * s.inner;
      const auto kernel = s.shared ? gather_grad_kernel<kWidth, true, T> : gather_grad_kernel<1, false, T>;
      launch(queue, "gather_grad", kernel, gpu::blocks_for(columns, kThreads), kThreads, 0, s, columns, index,
             static_cast<const T*>(dy), static_cast<T*>(dx));
    });
  });
}

}  // namespace fovea
