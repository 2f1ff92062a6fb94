// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstdint>

#include "autograd/op_info.h"
#include "autograd/ops/reduce.h"
#include "autograd/planes.h"
#include "autograd/tape.h"
#include "kernels/geometry.h"
#include "kernels/ops/pool2d.h"

namespace fovea {

// Costs are those of windows that do not overlap, in which each pixel is looked at once.
inline constexpr OpInfo max_pool2d_info{.name = "max_pool2d",
                                        .signature = "x[N, C, H, W] -> y[N, C, P, Q]",
                                        .flops = "N·C·H·W",
                                        .bytes = "E·N·C·(H·W + P·Q) + dx·N·C·P·Q",
                                        .gradient = "dx = Σ dy over the windows whose maximum the pixel is",
                                        .gradient_flops = "dx·N·C·P·Q",
                                        .keeps = "place"};
inline constexpr OpInfo average_pool2d_info{.name = "average_pool2d",
                                            .signature = "x[N, C, H, W] -> y[N, C, P, Q]",
                                            .flops = "N·C·(H·W + P·Q)",
                                            .bytes = "E·N·C·(H·W + P·Q)",
                                            .gradient = "dx = Σ dy/size over the windows that hold the pixel",
                                            .gradient_flops = "dx·N·C·(H·W + P·Q)"};
inline constexpr OpInfo adaptive_average_pool2d_info{
    .name = "adaptive_average_pool2d",
    .signature = "x[N, C, H, W] -> y[N, C, P, Q]",
    .flops = "N·C·(H·W + P·Q)",
    .bytes = "E·N·C·(H·W + P·Q)",
    .gradient = "dx = Σ dy/size over the windows that hold the pixel",
    .gradient_flops = "dx·N·C·(H·W + P·Q)"};
inline constexpr OpInfo global_average_pool2d_info{.name = "global_average_pool2d",
                                                   .dtypes = "f32 f64",
                                                   .signature = "x[N, C, H, W] -> y[N, C]",
                                                   .flops = "N·C·H·W",
                                                   .bytes = "E·N·C·(H·W + 1)",
                                                   .gradient = "dx = dy/(H·W), repeated",
                                                   .gradient_flops = "dx·N·C"};

struct Pool2dOptions {
  Size2d stride = 0;           ///< pixels between windows; 0 is the kernel's size
  Padding2d padding = 0;       ///< less than the kernel on each side; same_padding() is TensorFlow's "SAME"
  bool ceil_mode = false;      ///< a last window that starts inside, but does not end there, counts, too
  bool count_padding = false;  ///< averages divide by the pixels of a window including those in the padding
};

namespace pool2d_detail {

inline void check_options(const char* op, Size2d kernel, const Pool2dOptions& options) {
  check_sides(op, "kernel", kernel, 1);
  check_sides(op, "stride", options.stride, 0);
  const Padding2d& p = options.padding;
  const auto fits = [](std::int64_t padding, std::int64_t side) { return padding >= 0 && padding < side; };
  if (!fits(p.top, kernel.height) || !fits(p.bottom, kernel.height) || !fits(p.left, kernel.width) ||
      !fits(p.right, kernel.width))
    reject<ValueError>(
        op,
        "padding {}, {}, {}, {} (top, bottom, left, right) must be at least 0 and less than the "
        "{}×{} kernel: each window needs a pixel of its own",
        p.top, p.bottom, p.left, p.right, kernel.height, kernel.width);
}

/// The windows along one axis; out is 0 if not even one fits.
constexpr SlidingWindows windows(std::int64_t in, std::int64_t kernel, std::int64_t stride,
                                 std::int64_t before, std::int64_t after, const Pool2dOptions& options) {
  const std::int64_t step = stride == 0 ? kernel : stride;
  const std::int64_t room = in + before + after - kernel + (options.ceil_mode ? step - 1 : 0);
  std::int64_t out = room < 0 ? 0 : room / step + 1;
  if (options.ceil_mode && out > 1 && (out - 1) * step >= in + before)
    --out;  // it would start in the padding
  return {in, out, kernel, step, before, after, options.count_padding};
}

/// Of checked options over an x of rank 4.
inline Pool2d geometry(const Shape& x, Size2d kernel, const Pool2dOptions& options) {
  const Padding2d& p = options.padding;
  return {x[0] * x[1], windows(x[2], kernel.height, options.stride.height, p.top, p.bottom, options),
          windows(x[3], kernel.width, options.stride.width, p.left, p.right, options)};
}

inline Pool2d checked_geometry(const char* op, const Tensor& x, Size2d kernel, const Pool2dOptions& options) {
  check_dtype(op, "x", x, DType::f32);
  check_options(op, kernel, options);
  check_planes(op, x.shape());
  const Pool2d pool = geometry(x.shape(), kernel, options);
  const Padding2d& p = options.padding;
  if (pool.rows.out == 0 || pool.columns.out == 0)
    reject(op, "the {}×{} kernel does not fit into x {}, which is {}×{} with its padding", kernel.height,
           kernel.width, x.shape(), x.shape()[2] + p.top + p.bottom, x.shape()[3] + p.left + p.right);
  return pool;
}

template <class Windows>
Tensor empty_result(const char* op, const Tensor& x, const Pooling<Windows>& pool) {
  return Tensor::empty({x.size(0), x.size(1), pool.rows.out, pool.columns.out}, DType::f32, x.device(), op);
}

}  // namespace pool2d_detail

/// Maximum over each window. Padding is never chosen. Of equal maxima the first one counts, row by row within the
/// window, and takes the whole slope; so does the first NaN, which wins over all numbers.
///
/// formula  y[n, c, p, q] = max_{r,s} x[n, c, p·stride + r − padding, q·stride + s − padding]
/// x        [N, C, H, W] f32, H and W at least 1
/// kernel   height and width of a window, each 1..2³¹-1; their product, too
/// options  stride, padding, ceil_mode; count_padding plays no part
/// returns  [N, C, P, Q], P = ⌊(H + padding − R)/stride⌋ + 1 with the padding of both sides; with ceil_mode rounded
///          up, less one where the last window would start behind x and its left or upper padding
/// keeps    place, where in its window each maximum is: u8 [N, C, P, Q] for windows of up to 256 pixels, else i32.
///          dx = Σ dy over the windows whose maximum the pixel is
/// throws   ShapeError (rank, empty planes, no room for a window), ValueError (kernel, options), DTypeError
/// order    deterministic; a pixel sums its windows in ascending order
/// source   Goodfellow et al. 2016, Deep Learning, §9.3
inline Var max_pool2d(const Var& x, Size2d kernel, const Pool2dOptions& options = {}) {
  constexpr const char* op = "max_pool2d";
  const Pool2d pool = pool2d_detail::checked_geometry(op, x.value(), kernel, options);
  if (kernel.height > kMostPixels / kernel.width)
    reject<ValueError>(op, "the {}×{} kernel has more than {} pixels (x {})", kernel.height, kernel.width,
                       kMostPixels, x.shape());
  const Tensor in = x.value().contiguous(op), y = pool2d_detail::empty_result(op, in, pool);
  const Tensor place =
      x.needs_grad() ? Tensor::empty(y.shape(), place_type(pool), in.device(), op) : Tensor();
  on(y.queue(), [&](auto& q) {
    kernels::max_pool2d(q, pool, in.data(), y.data(), place.defined() ? place.raw() : nullptr);
  });
  const Shape shape = x.shape();
  return record(max_pool2d_info, y, {x}, {place}, [=](const Tensor& slope, Needs, Kept kept) -> Grads {
    const Tensor dy = slope.contiguous(op), dx = Tensor::empty(shape, DType::f32, dy.device(), op);
    on(dy.queue(), [&](auto& q) { kernels::max_pool2d_grad(q, pool, kept[0].raw(), dy.data(), dx.data()); });
    return {dx};
  });
}

/// Average over each window; see max_pool2d for windows and options. Pixels outside of x count as 0.
///
/// formula  y[n, c, p, q] = 1/size·Σ_{r,s} x[n, c, p·stride + r − padding, q·stride + s − padding]
/// options  count_padding: size is the number of the window's pixels in x, or in x and its padding. What ceil_mode
///          lets stand out beyond the padding never counts
/// keeps    nothing: dx = Σ dy/size over the windows that hold the pixel
/// order    deterministic: sums in a fixed order given by the shape
inline Var average_pool2d(const Var& x, Size2d kernel, const Pool2dOptions& options = {}) {
  constexpr const char* op = "average_pool2d";
  const Pool2d pool = pool2d_detail::checked_geometry(op, x.value(), kernel, options);
  const Tensor in = x.value().contiguous(op), y = pool2d_detail::empty_result(op, in, pool);
  on(y.queue(), [&](auto& q) { kernels::average_pool2d(q, pool, in.data(), y.data()); });
  const Shape shape = x.shape();
  return record(average_pool2d_info, y, {x}, {}, [=](const Tensor& slope, Needs, Kept) -> Grads {
    const Tensor dy = slope.contiguous(op), dx = Tensor::empty(shape, DType::f32, dy.device(), op);
    on(dy.queue(), [&](auto& q) { kernels::average_pool2d_grad(q, pool, dy.data(), dx.data()); });
    return {dx};
  });
}

/// Averages over P × Q windows that cover each plane evenly. They overlap by a pixel where P does not divide H, and
/// repeat pixels where P is larger than H; the same holds for Q and W.
///
/// formula  y[n, c, p, q] = mean of x[n, c, i, j] over ⌊p·H/P⌋ ≤ i < ⌈(p + 1)·H/P⌉, ⌊q·W/Q⌋ ≤ j < ⌈(q + 1)·W/Q⌉
/// x        [N, C, H, W] f32, H and W at least 1
/// out      P and Q, each 1..2³¹-1
/// returns  [N, C, P, Q]
/// keeps    nothing: dx = Σ dy/size over the windows that hold the pixel
/// throws   ShapeError, ValueError (out), DTypeError
/// order    deterministic: sums in a fixed order given by the shape
/// source   He et al. 2015, Spatial pyramid pooling in deep convolutional networks (windows)
inline Var adaptive_average_pool2d(const Var& x, Size2d out) {
  constexpr const char* op = "adaptive_average_pool2d";
  check_dtype(op, "x", x.value(), DType::f32);
  check_planes(op, x.shape());
  check_sides(op, "out", out, 1);
  const Tensor in = x.value().contiguous(op);
  const AdaptivePool2d pool{in.size(0) * in.size(1), {in.size(2), out.height}, {in.size(3), out.width}};
  const Tensor y = pool2d_detail::empty_result(op, in, pool);
  on(y.queue(), [&](auto& q) { kernels::adaptive_average_pool2d(q, pool, in.data(), y.data()); });
  const Shape shape = x.shape();
  return record(adaptive_average_pool2d_info, y, {x}, {}, [=](const Tensor& slope, Needs, Kept) -> Grads {
    const Tensor dy = slope.contiguous(op), dx = Tensor::empty(shape, DType::f32, dy.device(), op);
    on(dy.queue(), [&](auto& q) { kernels::adaptive_average_pool2d_grad(q, pool, dy.data(), dx.data()); });
    return {dx};
  });
}

/// Average of each plane: mean over the last two dimensions of images.
///
/// formula  y[n, c] = 1/(H·W)·Σ_{i,j} x[n, c, i, j]
/// x        [N, C, H, W] f32 or f64, H and W at least 1
/// returns  [N, C]
/// keeps    nothing: dx = dy/(H·W)
/// throws   ShapeError, DTypeError
/// order    as sum
/// source   Lin et al. 2014, Network in network
inline Var global_average_pool2d(const Var& x) {
  check_float(global_average_pool2d_info.name, "x", x.value());
  check_planes(global_average_pool2d_info.name, x.shape());
  return sum_or_mean(global_average_pool2d_info, x, 0b1100, false, true);
}

}  // namespace fovea
