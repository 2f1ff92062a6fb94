// SPDX-License-Identifier: Apache-2.0
#include "kernels/ops/labels.h"

#include "kernels/convert.h"
#include "kernels/cuda/access.cuh"
#include "kernels/cuda/block.cuh"
#include "kernels/cuda/strided.cuh"
#include "kernels/simt/simt.h"

/// argmax reads 4 bytes per f32 element and compares once; one_hot writes 4 per element. Rows of a few
/// hundred and columns in their thousands should reach 80 % of the memory roof; a batch of labels costs its
/// launch.
namespace fovea {
namespace {

constexpr int kThreads = 256;
constexpr int kWarps = kThreads / 32;

struct Best {
  double value;  // f32 fits: no padding to shuffle
  std::int64_t index;
};
/// Of two candidates in any order.
struct Better {
  __device__ __forceinline__ Best operator()(Best a, Best b) const {
    if (exceeds(a.value, b.value)) return a;
    if (exceeds(b.value, a.value)) return b;
    return a.index < b.index ? a : b;
  }
};

/// A warp for each row of x[rows, width]. A lane without elements takes the first, which changes nothing. The
/// outer loop's bound is the same for all lanes of a warp.
template <class T>
__global__ void argmax_rows(std::int64_t rows, std::int64_t width, const T* __restrict__ x,
                            std::int64_t* __restrict__ y) {
  const int lane = static_cast<int>(threadIdx.x) % 32;
  for (std::int64_t row = std::int64_t{blockIdx.x} * kWarps + threadIdx.x / 32; row < rows;
       row += std::int64_t{gridDim.x} * kWarps) {
    const T* from = x + row * width;
    std::int64_t index = lane < width ? lane : 0;
    T best = from[index];
    for (std::int64_t i = index + 32; i < width; i += 32) {
      const T value = from[i];
      if (exceeds(value, best)) {
        best = value;
        index = i;
      }
    }
    const Best all = gpu::warp_reduce(Best{static_cast<double>(best), index}, Better{});
    if (lane == 0) y[row] = all.index;
  }
}

/// A thread for each column of x[outer, width, inner].
template <class T>
__global__ void argmax_columns(Reduce s, const T* __restrict__ x, std::int64_t* __restrict__ y) {
  for (const std::int64_t i : gpu::grid_stride(s.outer * s.inner)) {
    const gpu::Division at = gpu::divide(i, s.inner);
    const T* from = x + at.quotient * s.width * s.inner + at.remainder;
    std::int64_t index = 0;
    T best = from[0];
    for (std::int64_t w = 1; w < s.width; ++w) {
      const T value = from[w * s.inner];
      if (exceeds(value, best)) {
        best = value;
        index = w;
      }
    }
    y[i] = index;
  }
}

/// kWidth divides classes, so a pack lies in one row.
template <int kWidth>
__global__ void one_hot_kernel(std::int64_t packs, std::int64_t classes,
                               const std::int64_t* __restrict__ labels, float* __restrict__ y) {
  for (const std::int64_t i : gpu::grid_stride(packs)) {
    const gpu::Division at = gpu::divide(i * kWidth, classes);
    const std::int64_t label = labels[at.quotient];
    const bool known = label >= 0 && label < classes;
    gpu::Pack<float, kWidth> out;
    for (int k = 0; k < kWidth; ++k)
      out[k] = !known ? __builtin_nanf("") : at.remainder + k == label ? 1.0f : 0.0f;
    gpu::store_pack(y, i, out);
  }
}

}  // namespace

void kernels::argmax(gpu::Queue& queue, const Reduce& shape, DType dtype, const void* x, std::int64_t* y) {
  with_float_type(dtype, [&]<class T>(TypeTag<T>) {
    const T* in = static_cast<const T*>(x);
    if (shape.inner == 1)
      launch(queue, "argmax_rows", argmax_rows<T>, gpu::blocks_for(shape.outer, kWarps), kThreads, 0,
             shape.outer, shape.width, in, y);
    else
      launch(queue, "argmax_columns", argmax_columns<T>, gpu::blocks_for(shape.outer * shape.inner, kThreads),
             kThreads, 0, shape, in, y);
  });
}

void kernels::one_hot(gpu::Queue& queue, std::int64_t count, std::int64_t classes, const std::int64_t* labels,
                      float* y) {
  constexpr int kWidth = gpu::kPackWidth<float>;
  const bool packed = gpu::can_pack<kWidth>(classes, y);
  const std::int64_t packs = count * classes / (packed ? kWidth : 1);
  launch(queue, "one_hot", packed ? one_hot_kernel<kWidth> : one_hot_kernel<1>,
         gpu::blocks_for(packs, kThreads), kThreads, 0, packs, classes, labels, y);
}

}  // namespace fovea
