// SPDX-License-Identifier: Apache-2.0
#pragma once

#include "autograd/channel_sums.h"
#include "autograd/op_info.h"
#include "autograd/tape.h"
#include "kernels/conv2d_algorithm.h"
#include "kernels/ops/conv2d.h"

namespace fovea {

inline constexpr OpInfo conv2d_info{
    .name = "conv2d",
    .signature = "x[N, C, H, W] w[O, D, R, S] bias[O]? -> y[N, O, P, Q]",
    .flops = "2·N·O·P·Q·D·R·S",
    .bytes = "E·(N·C·H·W + O·D·R·S + bias·O + N·O·P·Q)",
    .gradient = "dx correlates dy with w turned by 180°, dw correlates x with dy, dbias = Σ_{n,p,q} dy",
    .gradient_flops = "(dx + dw)·2·N·O·P·Q·D·R·S + dbias·N·O·P·Q",
    .keeps = "x w"};

/// Where a convolution puts its kernel, and what an output sees.
struct Conv2dOptions {
  Size2d stride = 1;  ///< pixels from one output to the next, ≥ 1
  Padding2d padding =
      0;  ///< zeros around each plane, pixels, ≥ 0; same_padding() gives as many outputs as inputs
  Size2d dilation = 1;      ///< pixels from one tap to the next, ≥ 1
  std::int64_t groups = 1;  ///< group g of the outputs sees group g of x's channels; C: "depthwise"
  ConvAlgorithm algorithm = ConvAlgorithm::automatic;  ///< of all three passes, on the cpu
};

namespace conv2d_detail {

/// "2", or "2×1".
inline std::string text(Size2d size) {
  return size.height == size.width ? fmt::format("{}", size.height)
                                   : fmt::format("{}×{}", size.height, size.width);
}
/// "2", or "{top 0, bottom 1, left 0, right 1}".
inline std::string text(Padding2d p) {
  if (p == Padding2d(p.top)) return fmt::format("{}", p.top);
  return fmt::format("{{top {}, bottom {}, left {}, right {}}}", p.top, p.bottom, p.left, p.right);
}

/// Pixels from the first tap to the last, both included.
inline Size2d extent(Size2d kernel, Size2d dilation) {
  return {(kernel.height - 1) * dilation.height + 1, (kernel.width - 1) * dilation.width + 1};
}

inline void check_options(const char* op, const Shape& x, const Shape& w, const Conv2dOptions& options) {
  const auto positive = [&](const char* name, Size2d value) {
    if (value.height < 1 || value.width < 1)
      reject<ValueError>(op, "{} {} must be at least 1 (x {}, w {})", name, text(value), x, w);
  };
  positive("stride", options.stride);
  positive("dilation", options.dilation);
  positive("groups", options.groups);
  const Padding2d& padding = options.padding;
  if (padding.top < 0 || padding.bottom < 0 || padding.left < 0 || padding.right < 0)
    reject<ValueError>(op, "padding {} is negative (x {}, w {})", text(padding), x, w);
}

inline Conv2d geometry(const Tensor& x, const Tensor& w, const Conv2dOptions& options) {
  return {.batch = x.size(0),
          .in_channels = x.size(1),
          .in_height = x.size(2),
          .in_width = x.size(3),
          .out_channels = w.size(0),
          .kernel_height = w.size(2),
          .kernel_width = w.size(3),
          .stride = options.stride,
          .padding = options.padding,
          .dilation = options.dilation,
          .groups = options.groups,
          .image_stride = x.strides()[0],
          .channel_stride = x.strides()[1],
          .algorithm = options.algorithm};
}

inline void check_algorithm(const char* op, const Tensor& x, const Tensor& w, const Conv2dOptions& options) {
  if (options.algorithm == ConvAlgorithm::automatic) return;
  const Conv2d shape = geometry(x, w, options);
  if (x.device().kind() != DeviceKind::cpu)
    reject<ValueError>(op, "an algorithm can be chosen on the cpu only, x {} is on {}; leave it automatic",
                       x.shape(), x.device().description());
  if (options.algorithm == ConvAlgorithm::gemm && !can_use_gemm(shape))
    reject<ValueError>(
        op, "algorithm gemm needs a kernel of one pixel, stride 1, no padding and one group (x {}, w {})",
        x.shape(), w.shape());
  if (options.algorithm == ConvAlgorithm::fft && !can_use_fft(shape))
    reject<ValueError>(
        op,
        "algorithm fft needs stride 1, dilation 1, one group, and planes that fit a transform of {} "
        "(x {}, w {})",
        kLongestFft, x.shape(), w.shape());
}

inline void check(const Var& x, const Var& w, const Var& bias, const Conv2dOptions& options) {
  constexpr const char* op = "conv2d";
  check_dtype(op, "x", x.value(), DType::f32);
  check_dtype(op, "w", w.value(), DType::f32);
  const Shape &in = x.shape(), &kernel = w.shape();
  if (in.rank() != 4 || kernel.rank() != 4)
    reject(op, "x {} and w {} must be [N, C, H, W] and [O, C/groups, R, S]", in, kernel);
  check_options(op, in, kernel, options);
  if (kernel.numel() == 0) reject(op, "w {} is empty (x {})", kernel, in);
  const std::int64_t groups = options.groups;
  if (in[1] % groups != 0)
    reject(op, "x {} has {} channels, which do not divide into {} groups (w {})", in, in[1], groups, kernel);
  if (kernel[0] % groups != 0)
    reject(op, "w {} makes {} channels, which do not divide into {} groups (x {})", kernel, kernel[0], groups,
           in);
  if (in[1] != kernel[1] * groups && groups > 1)
    reject(op, "x {} has {} channels, w {} in {} groups expects {}", in, in[1], kernel, groups,
           kernel[1] * groups);
  if (in[1] != kernel[1] * groups)
    reject(op, "x {} has {} channels, w {} expects {}", in, in[1], kernel, kernel[1]);
  const Padding2d& padding = options.padding;
  const std::int64_t height = in[2] + padding.top + padding.bottom;
  const std::int64_t width = in[3] + padding.left + padding.right;
  const Size2d taps{kernel[2], kernel[3]}, seen = extent(taps, options.dilation);
  if ((seen.height > height || seen.width > width) && seen != taps)
    reject(op,
           "the kernel of w {} with dilation {} is {}×{} and does not fit into x {}, which is {}×{} with "
           "padding {}",
           kernel, text(options.dilation), seen.height, seen.width, in, height, width, text(padding));
  if (seen.height > height || seen.width > width)
    reject(op, "the {}×{} kernel of w {} does not fit into x {}, which is {}×{} with padding {}", kernel[2],
           kernel[3], kernel, in, height, width, text(padding));
  check_same_device(op, {x, w});
  check_algorithm(op, x.value(), w.value(), options);
  if (!bias.value().defined()) return;
  check_dtype(op, "bias", bias.value(), DType::f32);
  if (bias.shape() != Shape{kernel[0]})
    reject(op, "bias {} does not fit w {}, expected [{}] (x {})", bias.shape(), kernel, kernel[0], in);
  check_same_device(op, {x, bias});
}

/// x itself if its planes are contiguous and those of one image do not overlap, whatever the strides of images
/// and channels; else a copy.
inline Tensor with_whole_planes(const Tensor& x) {
  const Shape &shape = x.shape(), &stride = x.strides();
  const bool whole = (shape[3] <= 1 || stride[3] == 1) && (shape[2] <= 1 || stride[2] == shape[3]) &&
                     (shape[1] <= 1 || stride[1] >= shape[2] * shape[3]);
  return whole ? x : x.contiguous("conv2d");
}

}  // namespace conv2d_detail

/// Cross-correlation of planes. x counts as 0 outside of its planes. c runs over the D = C/groups channels of
/// o's group, counted from its first in w.
///
/// formula  y[n, o, p, q] = bias[o] + Σ_{c,r,s} x[n, c, i, j]·w[o, c, r, s],
///          i = p·stride + r·dilation − top, j = q·stride + s·dilation − left
/// x        [N, C, H, W] f32; windows that roll over a movie (rolling_window) are read in place
/// w        [O, D, R, S] f32, not empty; in a depthwise convolution (groups = C) [C·multiplier, 1, R, S]
/// bias     [O] f32, or Var() for none
/// options  stride, padding {top, bottom, left, right}, dilation, groups; groups divides C and O; algorithm: on the
///          cpu a cost model chooses between direct sums, a product of matrices, and Fourier transforms, which take a
///          tenth of the time for large kernels. With transforms the error is relative to the norms of whole planes,
///          and a number that is not finite spreads over the planes of its image and of that image's pair
/// returns  [N, O, P, Q], P = ⌊(H + top + bottom − dilation·(R − 1) − 1)/stride⌋ + 1, Q likewise
/// keeps    x, w: dx correlates dy, spread by the stride, with w turned by 180°, dw correlates x with dy,
///          dbias = Σ_{n,p,q} dy
/// throws   ShapeError, DTypeError, DeviceError, ValueError (options); each shows x and w
/// order    deterministic: sums in a fixed order given by the shape
/// source   Goodfellow et al. 2016, Deep Learning, §9.1 and §9.5 (its gradients)
inline Var conv2d(const Var& x, const Var& w, const Var& bias, const Conv2dOptions& options = {}) {
  constexpr const char* op = "conv2d";
  conv2d_detail::check(x, w, bias, options);
  const Tensor in = conv2d_detail::with_whole_planes(x.value()), kernel = w.value().contiguous(op);
  const bool has_bias = bias.value().defined();
  const Tensor add = has_bias ? bias.value().contiguous(op) : Tensor();
  const Conv2d shape = conv2d_detail::geometry(in, kernel, options);
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
        if (needs[2]) d[2] = channel_sums(op, dy);
        return d;
      });
}

}  // namespace fovea
