// SPDX-License-Identifier: Apache-2.0
#pragma once

#include "autograd/op_info.h"
#include "autograd/tape.h"
#include "kernels/ops/conv2d.h"
#include "kernels/ops/reduce.h"

namespace fovea {

inline constexpr OpInfo conv2d_info{
    .name = "conv2d",
    .signature = "x[N, C, H, W] w[O, C, R, S] bias[O]? -> y[N, O, P, Q]",
    .flops = "2·N·O·P·Q·C·R·S",
    .bytes = "E·(N·C·H·W + O·C·R·S + bias·O + N·O·P·Q)",
    .gradient = "dx correlates dy with w turned by 180°, dw correlates x with dy, dbias = Σ_{n,p,q} dy",
    .gradient_flops = "(dx + dw)·2·N·O·P·Q·C·R·S + dbias·N·O·P·Q",
    .keeps = "x w"};

struct Conv2dOptions {
  int stride = 1;   ///< only 1, as for dilation and groups: other values say so
  int padding = 0;  ///< zeros around each plane, pixels
  int dilation = 1;
  int groups = 1;
};

namespace conv2d_detail {

inline void check(const Var& x, const Var& w, const Var& bias, const Conv2dOptions& options) {
  constexpr const char* op = "conv2d";
  check_dtype(op, "x", x.value(), DType::f32);
  check_dtype(op, "w", w.value(), DType::f32);
  const Shape &in = x.shape(), &kernel = w.shape();
  if (in.rank() != 4 || kernel.rank() != 4)
    reject(op, "x {} and w {} must be [N, C, H, W] and [O, C, R, S]", in, kernel);
  const auto only_one = [&](const char* name, int value) {
    if (value != 1)
      reject<ValueError>(op, "{} {} is not supported, only 1 (x {}, w {})", name, value, in, kernel);
  };
  only_one("stride", options.stride);
  only_one("dilation", options.dilation);
  only_one("groups", options.groups);
  if (options.padding < 0)
    reject<ValueError>(op, "padding {} is negative (x {}, w {})", options.padding, in, kernel);
  if (kernel.numel() == 0) reject(op, "w {} is empty (x {})", kernel, in);
  if (in[1] != kernel[1]) reject(op, "x {} has {} channels, w {} expects {}", in, in[1], kernel, kernel[1]);
  const std::int64_t height = in[2] + 2 * options.padding, width = in[3] + 2 * options.padding;
  if (kernel[2] > height || kernel[3] > width)
    reject(op, "the {}×{} kernel of w {} does not fit into x {}, which is {}×{} with padding {}", kernel[2],
           kernel[3], kernel, in, height, width, options.padding);
  check_same_device(op, {x, w});
  if (!bias.value().defined()) return;
  check_dtype(op, "bias", bias.value(), DType::f32);
  if (bias.shape() != Shape{kernel[0]})
    reject(op, "bias {} does not fit w {}, expected [{}] (x {})", bias.shape(), kernel, kernel[0], in);
  check_same_device(op, {x, bias});
}

/// x itself if its planes are contiguous, whatever the strides of images and channels; else a copy.
inline Tensor with_whole_planes(const Tensor& x) {
  const Shape &shape = x.shape(), &stride = x.strides();
  const bool whole = (shape[3] <= 1 || stride[3] == 1) && (shape[2] <= 1 || stride[2] == shape[3]);
  return whole ? x : x.contiguous("conv2d");
}

}  // namespace conv2d_detail

/// Cross-correlation of planes, stride 1. x counts as 0 outside of its planes.
///
/// formula  y[n, o, p, q] = bias[o] + Σ_{c,r,s} x[n, c, p + r − padding, q + s − padding]·w[o, c, r, s]
/// x        [N, C, H, W] f32; windows that roll over a movie (rolling_window) are read in place
/// w        [O, C, R, S] f32, not empty
/// bias     [O] f32, or Var() for none
/// options  padding ≥ 0; stride, dilation and groups must be 1
/// returns  [N, O, P, Q], P = H + 2·padding - R + 1, Q = W + 2·padding - S + 1
/// keeps    x, w: dx correlates dy with w turned by 180°, dw correlates x with dy, dbias = Σ_{n,p,q} dy
/// throws   ShapeError, DTypeError, DeviceError, ValueError (options); each shows x and w
/// order    deterministic: sums in a fixed order given by the shape
/// source   Goodfellow et al. 2016, Deep Learning, §9.1 and §9.5 (its gradients)
inline Var conv2d(const Var& x, const Var& w, const Var& bias, const Conv2dOptions& options = {}) {
  constexpr const char* op = "conv2d";
  conv2d_detail::check(x, w, bias, options);
  const Tensor in = conv2d_detail::with_whole_planes(x.value()), kernel = w.value().contiguous(op);
  const bool has_bias = bias.value().defined();
  const Tensor add = has_bias ? bias.value().contiguous(op) : Tensor();
  const Conv2d shape{.batch = in.size(0),
                     .in_channels = in.size(1),
                     .in_height = in.size(2),
                     .in_width = in.size(3),
                     .out_channels = kernel.size(0),
                     .kernel_height = kernel.size(2),
                     .kernel_width = kernel.size(3),
                     .padding_height = options.padding,
                     .padding_width = options.padding,
                     .image_stride = in.strides()[0],
                     .channel_stride = in.strides()[1]};
  const Tensor y = Tensor::empty({shape.batch, shape.out_channels, shape.out_height(), shape.out_width()},
                                 DType::f32, in.device(), op);
  on(y.queue(), [&](auto& q) {
    kernels::conv2d(q, shape, in.data(), kernel.data(), has_bias ? add.data() : nullptr, y.data());
  });
  return record(
      conv2d_info, y, {x, w, bias}, {in, kernel}, [=](const Tensor& slope, Needs needs, Kept kept) -> Grads {
        const Tensor dy = slope.contiguous(op), &kept_x = kept[0], &kept_w = kept[1];
        Grads d(3);
        if (needs[0]) {
          d[0] = Tensor::empty(kept_x.shape(), DType::f32, kept_x.device(), op);
          on(dy.queue(),
             [&](auto& q) { kernels::conv2d_grad_input(q, shape, kept_w.data(), dy.data(), d[0].data()); });
        }
        if (needs[1]) {
          d[1] = Tensor::empty(kept_w.shape(), DType::f32, kept_x.device(), op);
          on(dy.queue(),
             [&](auto& q) { kernels::conv2d_grad_weight(q, shape, kept_x.data(), dy.data(), d[1].data()); });
        }
        if (needs[2]) {
          d[2] = Tensor::empty({shape.out_channels}, DType::f32, kept_x.device(), op);
          on(dy.queue(), [&](auto& q) {
            kernels::channel_sum(q, shape.batch, shape.out_channels, shape.out_height() * shape.out_width(),
                                 dy.data(), d[2].data());
          });
        }
        return d;
      });
}

}  // namespace fovea
