// SPDX-License-Identifier: Apache-2.0
#include "kernels/ops/resize.h"

#include "kernels/cuda/access.cuh"
#include "kernels/simt/simt.h"

/// Forward, a thread makes four neighbouring results of a row; its row's weights serve all four, and their columns
/// follow from each other by addition. Backward, a thread gathers one pixel from the results that read it.
///
/// Bytes, for planes of H × W and results of P × Q: 4·(HW + PQ) either way; a pixel that several results read comes
/// from the cache. Predicted share of the memory roof: 0.7 forward; 0.4 backward, where each of the 16 results that
/// read a pixel enlarged twofold costs a dozen instructions.
namespace fovea {
namespace {

using std::int64_t;

constexpr int kThreads = 256;

template <int kWidth, bool kNearest>
__global__ void resize_kernel(Resize2d s, const float* __restrict__ x, float* __restrict__ y) {
  const int64_t packs = s.columns.out / kWidth;
  const ResizeAxis::Position step = s.columns.step();
  for (const int64_t pack : gpu::grid_stride(s.planes * s.rows.out * packs)) {
    const Division row = divide(pack, packs), plane = divide(row.quotient, s.rows.out);
    const ResizeAxis::Source from = s.rows.source(s.rows.at(plane.remainder));
    const float* low = x + (plane.quotient * s.rows.in + from.low) * s.columns.in;
    const float* high = x + (plane.quotient * s.rows.in + from.high) * s.columns.in;
    ResizeAxis::Position at = s.columns.at(row.remainder * kWidth);
    gpu::Pack<float, kWidth> values;
    for (int k = 0; k < kWidth; ++k) {
      if constexpr (kNearest) {
        values[k] = low[at.whole];
      } else {
        const ResizeAxis::Source c = s.columns.source(at);
        const float above = c.low_weight * low[c.low] + c.high_weight * low[c.high];
        const float below = c.low_weight * high[c.low] + c.high_weight * high[c.high];
        values[k] = from.low_weight * above + from.high_weight * below;
      }
      at = s.columns.next(at, step);
    }
    gpu::store_pack(y, pack, values);
  }
}

template <bool kNearest>
__global__ void resize_grad_kernel(Resize2d s, const float* __restrict__ dy, float* __restrict__ dx) {
  constexpr int64_t kReach = kNearest ? 0 : 1;  // results from a place before a pixel read it as their `high`
  const ResizeAxis::Position row_step = s.rows.step(), step = s.columns.step();
  for (const int64_t pixel : gpu::grid_stride(s.planes * s.rows.in * s.columns.in)) {
    const Division row = divide(pixel, s.columns.in), plane = divide(row.quotient, s.rows.in);
    const int64_t i = plane.remainder, j = row.remainder;
    const int64_t first = s.columns.first_from(j - kReach), last = s.columns.first_from(j + 1);
    const int64_t top = s.rows.first_from(i - kReach), bottom = s.rows.first_from(i + 1);
    const ResizeAxis::Position left = s.columns.at(first);
    ResizeAxis::Position down = s.rows.at(top);
    float total = 0.0f;
    for (int64_t p = top; p < bottom; ++p) {
      const float* slope = dy + (plane.quotient * s.rows.out + p) * s.columns.out;
      ResizeAxis::Position at = left;
      float sum = 0.0f;
      for (int64_t q = first; q < last; ++q) {
        if constexpr (kNearest)
          sum += slope[q];
        else
          sum += s.columns.source(at).weight(j) * slope[q];
        at = s.columns.next(at, step);
      }
      if constexpr (kNearest)
        total += sum;
      else
        total += s.rows.source(down).weight(i) * sum;
      down = s.rows.next(down, row_step);
    }
    dx[pixel] = total;
  }
}

}  // namespace

void kernels::resize(gpu::Queue& queue, const Resize2d& s, const float* x, float* y) {
  constexpr int kWidth = gpu::kPackWidth<float>;
  const bool packed = gpu::can_pack<kWidth>(s.columns.out, y);
  const int64_t packs = s.planes * s.rows.out * s.columns.out / (packed ? kWidth : 1);
  const auto kernel = s.nearest ? (packed ? resize_kernel<kWidth, true> : resize_kernel<1, true>)
                                : (packed ? resize_kernel<kWidth, false> : resize_kernel<1, false>);
  launch(queue, "resize", kernel, gpu::blocks_for(packs, kThreads), kThreads, 0, s, x, y);
}

void kernels::resize_grad(gpu::Queue& queue, const Resize2d& s, const float* dy, float* dx) {
  launch(queue, "resize_grad", s.nearest ? resize_grad_kernel<true> : resize_grad_kernel<false>,
         gpu::blocks_for(s.planes * s.rows.in * s.columns.in, kThreads), kThreads, 0, s, dy, dx);
}

}  // namespace fovea
