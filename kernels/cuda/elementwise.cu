// SPDX-License-Identifier: Apache-2.0
#include "kernels/ops/elementwise.h"

#include "kernels/convert.h"
#include "kernels/cuda/access.cuh"
#include "kernels/cuda/strided.cuh"
#include "kernels/simt/simt.h"

/// Limited by memory: relu moves 8 bytes per f32 element, its gradient and add 12. With 16-byte packs and
/// enough blocks to fill the GPU, 85 to 90 % of the memory roof is what to expect from 16 MiB upward; a
/// tensor that fits the second-level cache runs faster than that roof.
namespace fovea {
namespace {

constexpr int kThreads = 256;

/// y may be x in all of these, so no pointer is __restrict__.
template <int kWidth, Function f, class T>
__global__ void unary_kernel(std::int64_t packs, const T* x, T* y) {
  for (const std::int64_t i : gpu::grid_stride(packs)) {
    auto values = gpu::load_pack<kWidth>(x, i);
    for (int k = 0; k < kWidth; ++k) values[k] = value_of<f>(values[k]);
    gpu::store_pack(y, i, values);
  }
}

/// `known` is x if the slope needs it, else y.
template <int kWidth, Function f, class T>
__global__ void unary_grad_kernel(std::int64_t packs, const T* known, const T* dy, T* dx) {
  for (const std::int64_t i : gpu::grid_stride(packs)) {
    const auto at = gpu::load_pack<kWidth>(known, i);
    auto values = gpu::load_pack<kWidth>(dy, i);
    for (int k = 0; k < kWidth; ++k) values[k] *= slope_of<f>(at[k], at[k]);
    gpu::store_pack(dx, i, values);
  }
}

template <int kWidth, class T>
__global__ void affine_kernel(std::int64_t packs, T scale, T shift, const T* x, T* y) {
  for (const std::int64_t i : gpu::grid_stride(packs)) {
    auto values = gpu::load_pack<kWidth>(x, i);
    for (int k = 0; k < kWidth; ++k) values[k] = scale * values[k] + shift;
    gpu::store_pack(y, i, values);
  }
}

template <int kWidth, class T>
__global__ void accumulate_kernel(std::int64_t packs, const T* x, T* y) {
  for (const std::int64_t i : gpu::grid_stride(packs)) {
    const auto added = gpu::load_pack<kWidth>(x, i);
    auto values = gpu::load_pack<kWidth>(y, i);
    for (int k = 0; k < kWidth; ++k) values[k] += added[k];
    gpu::store_pack(y, i, values);
  }
}

template <Binary f, class T>
__device__ __forceinline__ T apply(T a, T b) {
  if constexpr (f == Binary::add) return a + b;
  if constexpr (f == Binary::subtract) return a - b;
  if constexpr (f == Binary::multiply) return a * b;
  if constexpr (f == Binary::divide) return a / b;
}

/// Both operands flat, or one of them a single element.
template <int kWidth, Binary f, class T>
__global__ void binary_flat(std::int64_t packs, bool repeat_a, bool repeat_b, const T* a, const T* b, T* y) {
  for (const std::int64_t i : gpu::grid_stride(packs)) {
    gpu::Pack<T, kWidth> left, right;
    if (!repeat_a) left = gpu::load_pack<kWidth>(a, i);
    if (!repeat_b) right = gpu::load_pack<kWidth>(b, i);
    for (int k = 0; k < kWidth; ++k)
      left[k] = apply<f>(repeat_a ? a[0] : left[k], repeat_b ? b[0] : right[k]);
    gpu::store_pack(y, i, left);
  }
}

template <Binary f, class T>
__global__ void binary_strided(Strided shape, std::int64_t count, const T* a, const T* b, T* y) {
  for (const std::int64_t i : gpu::grid_stride(count)) {
    const gpu::Offsets<3> offset = gpu::offsets_at<3>(shape, i);
    y[offset.of[0]] = apply<f>(a[offset.of[1]], b[offset.of[2]]);
  }
}

template <Binary f, class T>
void binary_as(gpu::Queue& queue, const Strided& shape, const T* a, const T* b, T* y) {
  constexpr int kWidth = gpu::kPackWidth<T>;
  const std::int64_t count = shape.count();
  const bool repeat_a = gpu::is_repeated(shape, 1), repeat_b = gpu::is_repeated(shape, 2);
  const bool flat =
      gpu::is_flat(shape, 0) && (repeat_a || gpu::is_flat(shape, 1)) && (repeat_b || gpu::is_flat(shape, 2));
  if (!flat)
    launch(queue, "binary_strided", binary_strided<f, T>, gpu::blocks_for(count, kThreads), kThreads, 0,
           shape, count, a, b, y);
  else if (gpu::can_pack<kWidth>(count, y) && (repeat_a || gpu::can_pack<kWidth>(count, a)) &&
           (repeat_b || gpu::can_pack<kWidth>(count, b)))
    launch(queue, "binary_flat", binary_flat<kWidth, f, T>, gpu::blocks_for(count / kWidth, kThreads),
           kThreads, 0, count / kWidth, repeat_a, repeat_b, a, b, y);
  else
    launch(queue, "binary_flat", binary_flat<1, f, T>, gpu::blocks_for(count, kThreads), kThreads, 0, count,
           repeat_a, repeat_b, a, b, y);
}

}  // namespace

void kernels::unary(gpu::Queue& queue, Function f, std::int64_t count, DType dtype, const void* x, void* y) {
  with_float_type(dtype, [&]<class T>(TypeTag<T>) {
    const T* in = static_cast<const T*>(x);
    T* out = static_cast<T*>(y);
    with_function(f, [&]<Function kF>(FunctionTag<kF>) {
      const auto run = [&]<int kWidth>(gpu::PackTag<kWidth>, std::int64_t packs) {
        launch(queue, "unary", unary_kernel<kWidth, kF, T>, gpu::blocks_for(packs, kThreads), kThreads, 0,
               packs, in, out);
      };
      gpu::with_packs(count, run, in, out);
    });
  });
}

void kernels::unary_grad(gpu::Queue& queue, Function f, std::int64_t count, DType dtype, const void* x,
                         const void* y, const void* dy, void* dx) {
  with_float_type(dtype, [&]<class T>(TypeTag<T>) {
    const T* known = static_cast<const T*>(slope_needs_input(f) ? x : y);
    const T* slope = static_cast<const T*>(dy);
    T* out = static_cast<T*>(dx);
    with_function(f, [&]<Function kF>(FunctionTag<kF>) {
      const auto run = [&]<int kWidth>(gpu::PackTag<kWidth>, std::int64_t packs) {
        launch(queue, "unary_grad", unary_grad_kernel<kWidth, kF, T>, gpu::blocks_for(packs, kThreads),
               kThreads, 0, packs, known, slope, out);
      };
      gpu::with_packs(count, run, known, slope, out);
    });
  });
}

void kernels::binary(gpu::Queue& queue, Binary f, const Strided& shape, DType dtype, const void* a,
                     const void* b, void* y) {
  with_float_type(dtype, [&]<class T>(TypeTag<T>) {
    const T* left = static_cast<const T*>(a);
    const T* right = static_cast<const T*>(b);
    T* out = static_cast<T*>(y);
    switch (f) {
      case Binary::add:
        return binary_as<Binary::add>(queue, shape, left, right, out);
      case Binary::subtract:
        return binary_as<Binary::subtract>(queue, shape, left, right, out);
      case Binary::multiply:
        return binary_as<Binary::multiply>(queue, shape, left, right, out);
      case Binary::divide:
        return binary_as<Binary::divide>(queue, shape, left, right, out);
    }
  });
}

void kernels::affine(gpu::Queue& queue, std::int64_t count, DType dtype, double scale, double shift,
                     const void* x, void* y) {
  with_float_type(dtype, [&]<class T>(TypeTag<T>) {
    const T* in = static_cast<const T*>(x);
    T* out = static_cast<T*>(y);
    const auto run = [&]<int kWidth>(gpu::PackTag<kWidth>, std::int64_t packs) {
      launch(queue, "affine", affine_kernel<kWidth, T>, gpu::blocks_for(packs, kThreads), kThreads, 0, packs,
             static_cast<T>(scale), static_cast<T>(shift), in, out);
    };
    gpu::with_packs(count, run, in, out);
  });
}

void kernels::accumulate(gpu::Queue& queue, std::int64_t count, DType dtype, const void* x, void* y) {
  with_float_type(dtype, [&]<class T>(TypeTag<T>) {
    const T* in = static_cast<const T*>(x);
    T* out = static_cast<T*>(y);
    const auto run = [&]<int kWidth>(gpu::PackTag<kWidth>, std::int64_t packs) {
      launch(queue, "accumulate", accumulate_kernel<kWidth, T>, gpu::blocks_for(packs, kThreads), kThreads, 0,
             packs, in, out);
    };
    gpu::with_packs(count, run, in, out);
  });
}

}  // namespace fovea
