// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstdint>

#include "autograd/op_info.h"
#include "autograd/planes.h"
#include "autograd/tape.h"
#include "kernels/geometry.h"
#include "kernels/ops/resize.h"

namespace fovea {

inline constexpr OpInfo resize_bilinear_info{
    .name = "resize_bilinear",
    .signature = "x[N, C, H, W] -> y[N, C, P, Q]",
    .flops = "9·N·C·P·Q",
    .bytes = "E·N·C·(H·W + P·Q)",
    .gradient = "dx = Σ dy over the results that read the pixel, times its weight in them",
    .gradient_flops = "dx·8·N·C·P·Q"};
inline constexpr OpInfo resize_nearest_info{.name = "resize_nearest",
                                            .signature = "x[N, C, H, W] -> y[N, C, P, Q]",
                                            .bytes = "E·N·C·(H·W + P·Q)",
                                            .gradient = "dx = Σ dy over the results that took the pixel",
                                            .gradient_flops = "dx·N·C·P·Q"};

namespace resize_detail {

inline Var resize(const OpInfo& info, const Var& x, Size2d out, bool nearest, bool align_corners) {
  const char* const op = info.name;
  check_dtype(op, "x", x.value(), DType::f32);
  const Shape shape = x.shape();
  check_planes(op, shape);
  check_sides(op, "out", out, 1);
  const auto axis = [&](std::int64_t from, std::int64_t to) -> ResizeAxis {
    if (nearest) return {from, to, from, 0, to};
    if (!align_corners) return {from, to, 2 * from, from - to, 2 * to};
    return to == 1 ? ResizeAxis{from, to, 0, 0, 1} : ResizeAxis{from, to, from - 1, 0, to - 1};
  };
  const Resize2d geometry{shape[0] * shape[1], axis(shape[2], out.height), axis(shape[3], out.width),
                          nearest};
  const Tensor in = x.value().contiguous(op);
  const Tensor y = Tensor::empty({shape[0], shape[1], out.height, out.width}, DType::f32, in.device(), op);
  on(y.queue(), [&](auto& q) { kernels::resize(q, geometry, in.data(), y.data()); });
  return record(info, y, {x}, {}, [=](const Tensor& slope, Needs, Kept) -> Grads {
    const Tensor dy = slope.contiguous(op), dx = Tensor::empty(shape, DType::f32, dy.device(), op);
    on(dy.queue(), [&](auto& q) { kernels::resize_grad(q, geometry, dy.data(), dx.data()); });
    return {dx};
  });
}

}  // namespace resize_detail

/// Planes of another size, interpolated between the four nearest pixels.
///
/// formula        y[n, c, p, q] = Σ_{i,j} a[p, i]·b[q, j]·x[n, c, i, j], with weights 1 − f and f for the pixels ⌊s⌋
///                and ⌊s⌋ + 1 (the last one at most), f = s − ⌊s⌋, around the source coordinate s
/// x              [N, C, H, W] f32, H and W at least 1
/// out            P and Q, each 1..2³¹-1
/// align_corners  true: s = p·(H − 1)/(P − 1), corners lie on corners, and s = 0 if P = 1. false: s = max(0,
///                (p + 1/2)·H/P − 1/2), pixels are squares of which the centres are seen. Columns likewise
/// returns        [N, C, P, Q]; making an image smaller skips pixels, it does not average them
/// keeps          nothing: dx = Σ dy over the results that read the pixel, times its weight in them
/// throws         ShapeError, ValueError (out), DTypeError
/// order          deterministic: sums in a fixed order given by the shape; ⌊s⌋ is computed in integers
/// source         Press et al. 2007, Numerical Recipes, §3.6 (bilinear interpolation)
inline Var resize_bilinear(const Var& x, Size2d out, bool align_corners = false) {
  return resize_detail::resize(resize_bilinear_info, x, out, false, align_corners);
}

/// Planes of another size, each result one of the pixels. PyTorch computes the coordinate in float, which can
/// fall one short of a whole number; here it is exact.
///
/// formula  y[n, c, p, q] = x[n, c, ⌊p·H/P⌋, ⌊q·W/Q⌋]
/// x        [N, C, H, W] f32, H and W at least 1
/// out      P and Q, each 1..2³¹-1
/// returns  [N, C, P, Q]
/// keeps    nothing: dx = Σ dy over the results that took the pixel
/// throws   ShapeError, ValueError (out), DTypeError
/// order    deterministic: sums in a fixed order given by the shape
/// source   Gonzalez and Woods 2018, Digital Image Processing, §2.4
inline Var resize_nearest(const Var& x, Size2d out) {
  return resize_detail::resize(resize_nearest_info, x, out, true, false);
}

}  // namespace fovea
