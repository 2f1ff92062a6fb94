// SPDX-License-Identifier: Apache-2.0
#include "nn/conv2d.h"

#include "autograd/ops/conv2d.h"
#include "nn/init.h"

namespace fovea::nn {
namespace {

/// The options of a separable convolution's spatial kernels.
ConvOptions depthwise_options(std::int64_t in, ConvOptions options) {
  if (options.groups != 1)
    reject<ValueError>("separable_conv2d",
                       "groups {} is not 1, but each of the {} channels is a group of its own",
                       options.groups, in);
  options.groups = in;
  options.bias = false;
  return options;
}

}  // namespace

Conv2d::Conv2d(std::int64_t in, std::int64_t out, Size2d kernel, const Device& device, ConvOptions options)
    : options_(options) {
  if (options.groups < 1 || in % options.groups != 0 || out % options.groups != 0)
    reject<ValueError>("conv2d", "{} groups do not divide {} channels in and {} out", options.groups, in,
                       out);
  if (options.stride.height < 1 || options.stride.width < 1 || options.dilation.height < 1 ||
      options.dilation.width < 1)
    reject<ValueError>("conv2d", "stride {} and dilation {} must be at least 1",
                       conv2d_detail::text(options.stride), conv2d_detail::text(options.dilation));
  if (options.same && options.padding != Padding2d(0))
    reject<ValueError>("conv2d", "padding {} and same exclude each other",
                       conv2d_detail::text(options.padding));
  const std::int64_t seen = in / options.groups, fan_in = seen * kernel.height * kernel.width;
  add_parameter("weight", weight, Role::weight, {out, seen, kernel.height, kernel.width}, device,
                init::fan_in_uniform(fan_in));
  if (options.bias) add_parameter("bias", bias, Role::bias, {out}, device, init::fan_in_uniform(fan_in));
}

Var Conv2d::forward(const Var& x) {
  const Shape& shape = x.shape();
  const Shape& w = weight.value.shape();
  const std::int64_t in = w[1] * options_.groups;
  const Size2d kernel{w[2], w[3]}, seen = conv2d_detail::extent(kernel, options_.dilation);
  Padding2d padding = options_.padding;
  Size2d least{seen.height - padding.top - padding.bottom, seen.width - padding.left - padding.right};
  if (options_.same) least = 1;
  if (shape.rank() != 4 || shape[1] != in || shape[2] < least.height || shape[3] < least.width)
    reject(label("conv2d"),
           "x {} is not [B, {}, H, W] with H and W of at least {}, as weight {} and {} expect", shape, in,
           conv2d_detail::text(least), w,
           options_.same ? std::string("same") : "padding " + conv2d_detail::text(padding));
  if (options_.same) padding = same_padding({shape[2], shape[3]}, kernel, options_.stride, options_.dilation);
  const Var b = bias.value.defined() ? on_tape(bias, x) : Var();
  return fovea::conv2d(x, on_tape(weight, x), b,
                       {.stride = options_.stride,
                        .padding = padding,
                        .dilation = options_.dilation,
                        .groups = options_.groups,
                        .algorithm = options_.algorithm});
}

SeparableConv2d::SeparableConv2d(std::int64_t in, std::int64_t out, Size2d kernel, const Device& device,
                                 ConvOptions options)
    : depthwise(in, in, kernel, device, depthwise_options(in, options)),
      pointwise(in, out, 1, device, {.bias = options.bias}) {
  add_child("depthwise", depthwise);
  add_child("pointwise", pointwise);
}

}  // namespace fovea::nn
