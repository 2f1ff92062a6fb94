// SPDX-License-Identifier: Apache-2.0
#include "nn/conv2d.h"

#include "autograd/ops/conv2d.h"
#include "nn/init.h"

namespace fovea::nn {

Conv2d::Conv2d(std::int64_t in, std::int64_t out, std::int64_t kernel, const Device& device,
               ConvOptions options)
    : padding_(options.padding) {
  const std::int64_t fan_in = in * kernel * kernel;
  add_parameter("weight", weight, Role::weight, {out, in, kernel, kernel}, device,
                init::fan_in_uniform(fan_in));
  if (options.bias) add_parameter("bias", bias, Role::bias, {out}, device, init::fan_in_uniform(fan_in));
}

Var Conv2d::forward(const Var& x) {
  const Shape& shape = x.shape();
  const Shape& w = weight.value.shape();
  if (shape.rank() != 4 || shape[1] != w[1] || shape[2] + 2 * padding_ < w[2] ||
      shape[3] + 2 * padding_ < w[3])
    reject(label("conv2d"),
           "x {} is not [B, {}, H, W] with H and W of at least {}, as weight {} and padding {} expect", shape,
           w[1], w[2] - 2 * padding_, w, padding_);
  const Var b = bias.value.defined() ? on_tape(bias, x) : Var();
  return fovea::conv2d(x, on_tape(weight, x), b, {.padding = padding_});
}

}  // namespace fovea::nn
