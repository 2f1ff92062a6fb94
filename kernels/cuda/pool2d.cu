// SPDX-License-Identifier: Apache-2.0
#include "kernels/ops/pool2d.h"

#include "kernels/cuda/access.cuh"
#include "kernels/cuda/block.cuh"
#include "kernels/simt/simt.h"

/// Forward, a thread per result, or a warp where a window has many pixels; backward, a thread gathers for four
/// neighbouring pixels of a row. The common sizes, 2 × 2 and 3 × 3 windows two pixels apart, are constants of the
/// compiler: loops unroll, all loads of a window are under way together, and no index is divided by a stride.
///
/// Bytes, for planes of H × W with results of P × Q: max 4·(HW + PQ) + PQ forward (the place in a window is a byte)
/// and 5·PQ + 4·HW backward, average 4·(HW + PQ) either way; windows that overlap read their common pixels
/// from the cache. 2 × 2 windows: 21 bytes per result forward, 5.25 per pixel backward. Predicted share of the
/// memory roof: 0.8 forward and 0.6 backward for the constant sizes; backward, 50 instructions per pixel are about
/// what its bytes take. Other sizes divide by the stride: 0.6 and 0.3. Adaptive windows divide twice for each
/// bound, which shows only where they are small.
namespace fovea {
namespace {

using std::int64_t;

constexpr int kThreads = 256;
constexpr int kWarps = kThreads / 32;
constexpr int64_t kWarpPlaces = 32;  // windows from this size on are a warp's work

/// The same geometry with a kernel and stride that the compiler knows; 0 leaves it as it is.
template <int kKernel, int kStride>
__device__ __forceinline__ Pool2d with_constants(Pool2d s) {
  if constexpr (kKernel > 0) {
    s.rows.kernel = s.columns.kernel = kKernel;
    s.rows.stride = s.columns.stride = kStride;
  }
  return s;
}
template <int kKernel, int kStride>
__device__ __forceinline__ AdaptivePool2d with_constants(const AdaptivePool2d& s) {
  return s;
}

/// Plane, row and column of element i of [planes, rows, columns].
struct PlaneIndex {
  int64_t plane, row, column;
};
__device__ __forceinline__ PlaneIndex plane_index(int64_t i, int64_t rows, int64_t columns) {
  const Division by_row = divide(i, columns), by_plane = divide(by_row.quotient, rows);
  return {by_plane.quotient, by_plane.remainder, by_row.remainder};
}

template <int kKernel, int kStride, class Place>
__global__ void max_pool2d_kernel(Pool2d shape, const float* __restrict__ x, float* __restrict__ y,
                                  Place* __restrict__ place) {
  const Pool2d s = with_constants<kKernel, kStride>(shape);
  for (const int64_t o : gpu::grid_stride(s.planes * s.rows.out * s.columns.out)) {
    const PlaneIndex at = plane_index(o, s.rows.out, s.columns.out);
    const int64_t top = s.rows.start(at.row), left = s.columns.start(at.column);
    const Span rows = s.rows.span(at.row), columns = s.columns.span(at.column);
    const float* plane = x + at.plane * s.rows.in * s.columns.in;
    float best = plane[rows.first * s.columns.in + columns.first];
    int found = static_cast<int>((rows.first - top) * s.columns.kernel + columns.first - left);
    const auto include = [&](int64_t i, int64_t j) {
      const float value = plane[i * s.columns.in + j];
      if (value > best || (value != value && best == best)) {
        best = value;
        found = static_cast<int>((i - top) * s.columns.kernel + j - left);
      }
    };
    if constexpr (kKernel > 0) {  // a constant number of turns: what is outside is passed over
      for (int r = 0; r < kKernel; ++r)
        for (int c = 0; c < kKernel; ++c)
          if (top + r >= rows.first && top + r < rows.last && left + c >= columns.first &&
              left + c < columns.last)
            include(top + r, left + c);
    } else {
      for (int64_t i = rows.first; i < rows.last; ++i)
        for (int64_t j = columns.first; j < columns.last; ++j) include(i, j);
    }
    y[o] = best;
    if (place != nullptr) place[o] = static_cast<Place>(found);
  }
}

/// dx for kWidth neighbouring columns at a time.
template <int kWidth, int kKernel, int kStride, class Place>
__global__ void max_pool2d_grad_kernel(Pool2d shape, const Place* __restrict__ place,
                                       const float* __restrict__ dy, float* __restrict__ dx) {
  const Pool2d s = with_constants<kKernel, kStride>(shape);
  const int64_t packs = s.columns.in / kWidth;
  for (const int64_t pack : gpu::grid_stride(s.planes * s.rows.in * packs)) {
    const PlaneIndex at = plane_index(pack, s.rows.in, packs);
    const Span rows = s.rows.over(at.row);
    gpu::Pack<float, kWidth> sum;
#pragma unroll  // so that `sum` stays in registers
    for (int k = 0; k < kWidth; ++k) {
      const int64_t j = at.column * kWidth + k;
      const Span columns = s.columns.over(j);
      float total = 0.0f;
      for (int64_t p = rows.first; p < rows.last; ++p)
        for (int64_t q = columns.first; q < columns.last; ++q) {
          const int64_t o = (at.plane * s.rows.out + p) * s.columns.out + q;
          const int64_t wanted = (at.row - s.rows.start(p)) * s.columns.kernel + j - s.columns.start(q);
          const float slope = dy[o];
          total += place[o] == wanted ? slope : 0.0f;
        }
      sum[k] = total;
    }
    gpu::store_pack(dx, pack, sum);
  }
}

template <int kKernel, int kStride, class Windows>
__global__ void average_pool2d_kernel(Pooling<Windows> shape, const float* __restrict__ x,
                                      float* __restrict__ y) {
  const Pooling<Windows> s = with_constants<kKernel, kStride>(shape);
  for (const int64_t o : gpu::grid_stride(s.planes * s.rows.out * s.columns.out)) {
    const PlaneIndex at = plane_index(o, s.rows.out, s.columns.out);
    const Span rows = s.rows.span(at.row), columns = s.columns.span(at.column);
    const float* plane = x + at.plane * s.rows.in * s.columns.in;
    float sum = 0.0f;
    for (int64_t i = rows.first; i < rows.last; ++i)
      for (int64_t j = columns.first; j < columns.last; ++j) sum += plane[i * s.columns.in + j];
    y[o] = sum / static_cast<float>(s.rows.size(at.row) * s.columns.size(at.column));
  }
}

/// The same, a warp for each result: its lanes go along the rows of the window, 32 pixels at a time.
template <class Windows>
__global__ void average_pool2d_warps(Pooling<Windows> s, const float* __restrict__ x, float* __restrict__ y) {
  const int lane = static_cast<int>(threadIdx.x) % 32;
  const int64_t results = s.planes * s.rows.out * s.columns.out;
  for (int64_t o = int64_t{blockIdx.x} * kWarps + threadIdx.x / 32; o < results;
       o += int64_t{gridDim.x} * kWarps) {
    const PlaneIndex at = plane_index(o, s.rows.out, s.columns.out);
    const Span rows = s.rows.span(at.row), columns = s.columns.span(at.column);
    const int64_t width = columns.last - columns.first, pixels = (rows.last - rows.first) * width;
    const float* from = x + (at.plane * s.rows.in + rows.first) * s.columns.in + columns.first;
    const Division step = divide(32, width);
    Division pixel = divide(lane, width);  // row and column of the window
    float sum = 0.0f;
    for (int64_t k = lane; k < pixels; k += 32) {
      sum += from[pixel.quotient * s.columns.in + pixel.remainder];
      pixel = {pixel.quotient + step.quotient, pixel.remainder + step.remainder};
      if (pixel.remainder >= width) pixel = {pixel.quotient + 1, pixel.remainder - width};
    }
    sum = gpu::warp_reduce(sum, gpu::Add{});
    if (lane == 0) y[o] = sum / static_cast<float>(s.rows.size(at.row) * s.columns.size(at.column));
  }
}

template <int kWidth, int kKernel, int kStride, class Windows>
__global__ void average_pool2d_grad_kernel(Pooling<Windows> shape, const float* __restrict__ dy,
                                           float* __restrict__ dx) {
  const Pooling<Windows> s = with_constants<kKernel, kStride>(shape);
  const int64_t packs = s.columns.in / kWidth;
  for (const int64_t pack : gpu::grid_stride(s.planes * s.rows.in * packs)) {
    const PlaneIndex at = plane_index(pack, s.rows.in, packs);
    const Span rows = s.rows.over(at.row);
    gpu::Pack<float, kWidth> sum;
#pragma unroll  // so that `sum` stays in registers
    for (int k = 0; k < kWidth; ++k) {
      const Span columns = s.columns.over(at.column * kWidth + k);
      float total = 0.0f;
      for (int64_t q = columns.first; q < columns.last; ++q) {
        const int64_t width = s.columns.size(q);
        for (int64_t p = rows.first; p < rows.last; ++p)
          total += dy[(at.plane * s.rows.out + p) * s.columns.out + q] /
                   static_cast<float>(s.rows.size(p) * width);
      }
      sum[k] = total;
    }
    gpu::store_pack(dx, pack, sum);
  }
}

template <int kKernel, int kStride>
struct Sizes {};

/// Calls f(Sizes<kernel, stride>) with the sizes that kernels are compiled for, Sizes<0, 0> for all others.
template <class F>
void with_sizes(const Pool2d& s, F&& f) {
  const auto are = [&](int64_t kernel, int64_t stride) {
    return s.rows.kernel == kernel && s.columns.kernel == kernel && s.rows.stride == stride &&
           s.columns.stride == stride;
  };
  if (are(2, 2)) return f(Sizes<2, 2>{});
  if (are(3, 2)) return f(Sizes<3, 2>{});
  return f(Sizes<0, 0>{});
}
template <class F>
void with_sizes(const AdaptivePool2d&, F&& f) {
  f(Sizes<0, 0>{});
}

template <class Place>
void max_pool2d_as(gpu::Queue& queue, const Pool2d& s, const float* x, float* y, Place* place) {
  with_sizes(s, [&]<int kKernel, int kStride>(Sizes<kKernel, kStride>) {
    launch(queue, "max_pool2d", max_pool2d_kernel<kKernel, kStride, Place>,
           gpu::blocks_for(s.planes * s.rows.out * s.columns.out, kThreads), kThreads, 0, s, x, y, place);
  });
}

template <class Place>
void max_pool2d_grad_as(gpu::Queue& queue, const Pool2d& s, const Place* place, const float* dy, float* dx) {
  constexpr int kWidth = gpu::kPackWidth<float>;
  const bool packed = gpu::can_pack<kWidth>(s.columns.in, dx);
  const int64_t packs = s.planes * s.rows.in * s.columns.in / (packed ? kWidth : 1);
  with_sizes(s, [&]<int kKernel, int kStride>(Sizes<kKernel, kStride>) {
    launch(queue, "max_pool2d_grad",
           packed ? max_pool2d_grad_kernel<kWidth, kKernel, kStride, Place>
                  : max_pool2d_grad_kernel<1, kKernel, kStride, Place>,
           gpu::blocks_for(packs, kThreads), kThreads, 0, s, place, dy, dx);
  });
}

template <class Windows>
void average(gpu::Queue& queue, const char* name, const Pooling<Windows>& s, int64_t places, const float* x,
             float* y) {
  const int64_t results = s.planes * s.rows.out * s.columns.out;
  if (places >= kWarpPlaces)
    return launch(queue, name, average_pool2d_warps<Windows>, gpu::blocks_for(results, kWarps), kThreads, 0,
                  s, x, y);
  with_sizes(s, [&]<int kKernel, int kStride>(Sizes<kKernel, kStride>) {
    launch(queue, name, average_pool2d_kernel<kKernel, kStride, Windows>, gpu::blocks_for(results, kThreads),
           kThreads, 0, s, x, y);
  });
}

template <class Windows>
void average_grad(gpu::Queue& queue, const char* name, const Pooling<Windows>& s, const float* dy,
                  float* dx) {
  constexpr int kWidth = gpu::kPackWidth<float>;
  const bool packed = gpu::can_pack<kWidth>(s.columns.in, dx);
  const int64_t packs = s.planes * s.rows.in * s.columns.in / (packed ? kWidth : 1);
  with_sizes(s, [&]<int kKernel, int kStride>(Sizes<kKernel, kStride>) {
    launch(queue, name,
           packed ? average_pool2d_grad_kernel<kWidth, kKernel, kStride, Windows>
                  : average_pool2d_grad_kernel<1, kKernel, kStride, Windows>,
           gpu::blocks_for(packs, kThreads), kThreads, 0, s, dy, dx);
  });
}

}  // namespace

void kernels::max_pool2d(gpu::Queue& queue, const Pool2d& shape, const float* x, float* y, void* place) {
  if (place_type(shape) == DType::u8)
    max_pool2d_as(queue, shape, x, y, static_cast<std::uint8_t*>(place));
  else
    max_pool2d_as(queue, shape, x, y, static_cast<std::int32_t*>(place));
}

void kernels::max_pool2d_grad(gpu::Queue& queue, const Pool2d& shape, const void* place, const float* dy,
                              float* dx) {
  if (place_type(shape) == DType::u8)
    max_pool2d_grad_as(queue, shape, static_cast<const std::uint8_t*>(place), dy, dx);
  else
    max_pool2d_grad_as(queue, shape, static_cast<const std::int32_t*>(place), dy, dx);
}

void kernels::average_pool2d(gpu::Queue& queue, const Pool2d& shape, const float* x, float* y) {
  average(queue, "average_pool2d", shape, shape.rows.kernel * shape.columns.kernel, x, y);
}

void kernels::adaptive_average_pool2d(gpu::Queue& queue, const AdaptivePool2d& s, const float* x, float* y) {
  const int64_t places = (s.rows.in / s.rows.out) * (s.columns.in / s.columns.out);
  average(queue, "adaptive_average_pool2d", s, places, x, y);
}

void kernels::average_pool2d_grad(gpu::Queue& queue, const Pool2d& shape, const float* dy, float* dx) {
  average_grad(queue, "average_pool2d_grad", shape, dy, dx);
}

void kernels::adaptive_average_pool2d_grad(gpu::Queue& queue, const AdaptivePool2d& shape, const float* dy,
                                           float* dx) {
  average_grad(queue, "adaptive_average_pool2d_grad", shape, dy, dx);
}

}  // namespace fovea
