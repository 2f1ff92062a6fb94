// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstdint>

#include "kernels/conv2d_phase.h"
#include "kernels/cuda/access.cuh"
#include "kernels/ops/conv2d.h"
#include "kernels/simt/simt.h"

/// What the convolution kernels share: the register tile and how a piece of a plane gets into shared memory.
///
/// Note [Sliding rows]: all three passes are Σ_i a(i + j)·b(i, o) for kSlide neighbouring rows j and kOut
/// channels o: outputs against taps in the forward pass, taps against outputs in the weight gradient. A
/// thread keeps the kSlide·kOut sums in registers and walks down a column: each step loads one new row value
/// (lanes hold neighbouring columns, so all banks are used) and kOut values that are equal in all lanes (two
/// 16-byte broadcasts), for 32 multiply-adds. Three shared loads per 32 multiply-adds keep that port at 3/8
/// of its rate; with addresses and the loop, 128 of 150 issued instructions are multiply-adds.
///
/// A value slides from row j to row j - 1 when one step of i moves by the distance of two rows. With a
/// stride, taps `stride` apart do that for outputs, and with a dilation, outputs `dilation` apart do it for
/// taps: the sum is then cut into that many interleaved ones. Where both are above 1 nothing slides, and a
/// step loads all kSlide values.
///
/// kOut is 8, or 1 where an output channel is alone in its group, as in depthwise convolutions: then two
/// shared loads serve four multiply-adds, half the fp32 roof, which leaves kernels up to 7x7 bound by
/// memory.
namespace fovea::gpu {

constexpr int kManyOut = 8;
constexpr int kSlide = 4;
constexpr int kSharedFloats = 10 * 1024;  // of a stage: 40 KiB, so that an sm_90 multiprocessor holds five

constexpr int ceil_div(int a, int b) { return (a + b - 1) / b; }
constexpr int smaller(int a, int b) { return a < b ? a : b; }
constexpr int larger(int a, int b) { return a > b ? a : b; }

/// A convolution in the numbers that device code takes; channels and outputs are those of a group.
struct ConvGeometry {
  std::int64_t image_stride, channel_stride;
  int groups, channels, height, width;
  int kernel_height, kernel_width, padding_top, padding_left;
  int stride_height, stride_width, dilation_height, dilation_width;  // a dilation of one tap is 1
  int outputs, out_height, out_width;
};
inline int to_int(std::int64_t i) { return static_cast<int>(i); }
inline ConvGeometry conv_geometry(const Conv2d& shape) {
  return {.image_stride = shape.image_stride,
          .channel_stride = shape.channel_stride,
          .groups = to_int(shape.groups),
          .channels = to_int(shape.group_inputs()),
          .height = to_int(shape.in_height),
          .width = to_int(shape.in_width),
          .kernel_height = to_int(shape.kernel_height),
          .kernel_width = to_int(shape.kernel_width),
          .padding_top = to_int(shape.padding.top),
          .padding_left = to_int(shape.padding.left),
          .stride_height = to_int(shape.stride.height),
          .stride_width = to_int(shape.stride.width),
          .dilation_height = shape.kernel_height > 1 ? to_int(shape.dilation.height) : 1,
          .dilation_width = shape.kernel_width > 1 ? to_int(shape.dilation.width) : 1,
          .outputs = to_int(shape.group_outputs()),
          .out_height = to_int(shape.out_height()),
          .out_width = to_int(shape.out_width())};
}

/// Row pitch ≥ width of a plane in shared memory. A warp covers `span` ≤ width columns of one group of kSlide
/// rows and goes on in the next; the pitch makes the next group begin, modulo the 32 banks, just behind the
/// last column.
constexpr int conflict_free_pitch(int width, int span) {
  int best = width;
  for (int pitch = width; pitch < width + 8; ++pitch)
    if ((kSlide * pitch - span) % 32 < (kSlide * best - span) % 32) best = pitch;
  return best;
}

/// What `outs` outputs and `taps` taps meet along an axis: every `step`-th pixel, `extent` in all. A stage
/// holds these and no others, so that one output of a widely dilated kernel, or one tap of a long stride,
/// fits always.
struct Span {
  int step, extent;
};
constexpr Span span_of(int outs, int taps, int stride, int dilation) {
  int step = 1;
  if (outs > 1 && taps > 1)
    step = static_cast<int>(common_divisor(stride, dilation));
  else if (outs > 1)
    step = stride;
  else if (taps > 1)
    step = dilation;
  return {step, ((outs - 1) * stride + (taps - 1) * dilation) / step + 1};
}

/// Output channels of one thread.
constexpr int out_per_thread(std::int64_t group_outputs) { return group_outputs < 4 ? 1 : kManyOut; }

/// Planes of one image, any channel stride.
struct Planes {
  const float* data;
  std::int64_t channel_stride;
  int height, width;
};

/// Copies `channels` pieces whose corner is (top, left), every row_step-th row and column_step-th column,
/// to to[channel][row][column] with the given pitch, zeros outside of the planes. All threads of the block
/// call it; no barrier inside.
__device__ __forceinline__ void stage_planes(const Planes& x, int channels, int top, int left, int rows,
                                             int columns, int row_step, int column_step, int pitch,
                                             float* to) {
  const int plane = rows * columns;
  for (int i = static_cast<int>(threadIdx.x); i < channels * plane; i += static_cast<int>(blockDim.x)) {
    const int c = i / plane, at = i - c * plane, row = at / columns, column = at - row * columns;
    const int in_row = top + row * row_step, in_column = left + column * column_step;
    float value = 0.0f;
    if (in_row >= 0 && in_row < x.height && in_column >= 0 && in_column < x.width)
      value = x.data[c * x.channel_stride + static_cast<std::int64_t>(in_row) * x.width + in_column];
    to[(c * rows + row) * pitch + column] = value;
  }
}

/// A kernel or a slice of one: weight (o, c, r, s) stands at data[o·out + c·in + r·row + s·column].
struct KernelSlice {
  const float* data;
  std::int64_t out, in, row, column;
};

/// Copies kWide output channels, `channels` input channels and `taps` rows of `width` weights to
/// to[channel][r][s][kWide], zeros for output channels ≥ outs. All threads of the block call it; no barrier
/// inside.
template <int kWide>
__device__ __forceinline__ void stage_taps(const KernelSlice& w, int outs, int channels, int taps, int width,
                                           float* to) {
  const int plane = taps * width;
  for (int i = static_cast<int>(threadIdx.x); i < channels * plane; i += static_cast<int>(blockDim.x)) {
    const int c = i / plane, at = i - c * plane, r = at / width, s = at - r * width;
    const float* from = w.data + c * w.in + r * w.row + s * w.column;
    for (int o = 0; o < kWide; ++o) to[i * kWide + o] = o < outs ? from[o * w.out] : 0.0f;
  }
}

/// One step of slide(). The window is a ring: row i + j of the column is window[(i + j) % kSlide], and `turn`
/// is i % kSlide, a constant, so that the ring stays in registers and nothing is moved.
template <int turn, int kOut>
__device__ __forceinline__ void slide_step(const float* a, const float* b, float (&window)[kSlide],
                                           float (&sums)[kSlide][kOut]) {
  constexpr int kPack = kOut < 4 ? kOut : 4;
  window[(turn + kSlide - 1) % kSlide] = *a;
  Pack<float, kPack> factors[kOut / kPack];
  for (int i = 0; i < kOut / kPack; ++i) factors[i] = load_pack<kPack>(b, i);
  for (int j = 0; j < kSlide; ++j)
    for (int o = 0; o < kOut; ++o) sums[j][o] += window[(turn + j) % kSlide] * factors[o / kPack][o % kPack];
}

/// sums[j][o] += Σ_i a[(i + j)·pitch]·b[i·step + o] for `count` values of i; b is aligned to 16 bytes if
/// kOut is 8.
template <int kOut>
__device__ __forceinline__ void slide(int count, const float* a, int pitch, const float* b, int step,
                                      float (&sums)[kSlide][kOut]) {
  static_assert(kSlide == 4);
  float window[kSlide];
  for (int j = 0; j + 1 < kSlide; ++j) window[j] = a[j * pitch];
  a += (kSlide - 1) * pitch;
  int i = 0;
  for (; i + kSlide <= count; i += kSlide, a += kSlide * pitch, b += kSlide * step) {
    slide_step<0>(a, b, window, sums);
    slide_step<1>(a + pitch, b + step, window, sums);
    slide_step<2>(a + 2 * pitch, b + 2 * step, window, sums);
    slide_step<3>(a + 3 * pitch, b + 3 * step, window, sums);
  }
  if (i < count) slide_step<0>(a, b, window, sums);
  if (i + 1 < count) slide_step<1>(a + pitch, b + step, window, sums);
  if (i + 2 < count) slide_step<2>(a + 2 * pitch, b + 2 * step, window, sums);
}

/// The same where i moves by `pitch` and j by `window`: in `lag` interleaved sums that slide, where
/// lag·pitch is the window; a lag of `count` slides nowhere.
template <int kOut>
__device__ __forceinline__ void slide_apart(int count, int lag, const float* a, int pitch, int window,
                                            const float* b, int step, float (&sums)[kSlide][kOut]) {
  for (int first = 0; first < lag && first < count; ++first)
    slide((count - first + lag - 1) / lag, a + first * pitch, window, b + first * step, lag * step, sums);
}

}  // namespace fovea::gpu
