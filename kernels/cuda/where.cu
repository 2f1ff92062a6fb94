// SPDX-License-Identifier: Apache-2.0
#include "kernels/ops/where.h"

#include "kernels/convert.h"
#include "kernels/cuda/access.cuh"
#include "kernels/cuda/strided.cuh"
#include "kernels/simt/simt.h"

/// Moves 13 bytes per f32 element: limited by memory, 85 % of its roof is what to expect where all operands
/// are flat or single elements. Broadcast rows take a division for each dimension and element.
namespace fovea {
namespace {

constexpr int kThreads = 256;

/// mask and y flat, a and b flat or one element each.
template <int kWidth, class T>
__global__ void where_flat(std::int64_t packs, bool repeat_a, bool repeat_b,
                           const std::uint8_t* __restrict__ mask, const T* __restrict__ a,
                           const T* __restrict__ b, T* __restrict__ y) {
  for (const std::int64_t i : gpu::grid_stride(packs)) {
    const auto chosen = gpu::load_pack<kWidth>(mask, i);
    gpu::Pack<T, kWidth> left, right;
    if (!repeat_a) left = gpu::load_pack<kWidth>(a, i);
    if (!repeat_b) right = gpu::load_pack<kWidth>(b, i);
    for (int k = 0; k < kWidth; ++k)
      left[k] = chosen[k] != 0 ? (repeat_a ? a[0] : left[k]) : (repeat_b ? b[0] : right[k]);
    gpu::store_pack(y, i, left);
  }
}

template <class T>
__global__ void where_strided(Strided shape, std::int64_t count, const std::uint8_t* __restrict__ mask,
                              const T* __restrict__ a, const T* __restrict__ b, T* __restrict__ y) {
  for (const std::int64_t i : gpu::grid_stride(count)) {
    const gpu::Offsets<4> at = gpu::offsets_at<4>(shape, i);
    y[at.of[0]] = mask[at.of[1]] != 0 ? a[at.of[2]] : b[at.of[3]];
  }
}

}  // namespace

void kernels::where(gpu::Queue& queue, const Strided& shape, DType dtype, const std::uint8_t* mask,
                    const void* a, const void* b, void* y) {
  const std::int64_t count = shape.count();
  const bool repeat_a = gpu::is_repeated(shape, 2), repeat_b = gpu::is_repeated(shape, 3);
  const bool flat = gpu::is_flat(shape, 0) && gpu::is_flat(shape, 1) &&
                    (repeat_a || gpu::is_flat(shape, 2)) && (repeat_b || gpu::is_flat(shape, 3));
  with_float_type(dtype, [&]<class T>(TypeTag<T>) {
    constexpr int kWidth = gpu::kPackWidth<T>;
    const T *left = static_cast<const T*>(a), *right = static_cast<const T*>(b);
    T* out = static_cast<T*>(y);
    if (!flat)
      return launch(queue, "where_strided", where_strided<T>, gpu::blocks_for(count, kThreads), kThreads, 0,
                    shape, count, mask, left, right, out);
    const bool packed = gpu::can_pack<kWidth>(count, out, repeat_a ? out : left, repeat_b ? out : right) &&
                        gpu::can_pack<kWidth>(count, mask);
    const std::int64_t packs = packed ? count / kWidth : count;
    launch(queue, "where_flat", packed ? where_flat<kWidth, T> : where_flat<1, T>,
           gpu::blocks_for(packs, kThreads), kThreads, 0, packs, repeat_a, repeat_b, mask, left, right, out);
  });
}

}  // namespace fovea
