// SPDX-License-Identifier: Apache-2.0
#include "nn/layer_norm.h"

#include "autograd/ops/group_norm.h"
#include "nn/init.h"

namespace fovea::nn {

LayerNorm::LayerNorm(std::int64_t width, const Device& device, NormOptions options, LayerNormOver over)
    : width_(width), eps_(options.eps), over_(over) {
  if (!options.affine) return;
  add_parameter("weight", weight, Role::scale, {width}, device, init::constant(1.0f));
  add_parameter("bias", bias, Role::shift, {width}, device, init::constant(0.0f));
}

Var LayerNorm::forward(const Var& x) {
  const bool channels = over_ == LayerNormOver::channels;
  const Shape& shape = x.shape();
  if (shape.rank() < (channels ? 2 : 1) || (channels ? shape[1] : shape.back()) != width_)
    reject(label("layer_norm"), "x {} does not have the {} {} that it normalises", shape, width_,
           channels ? "channels" : "columns");
  const Var scale = weight.value.defined() ? on_tape(weight, x) : Var();
  const Var shift = weight.value.defined() ? on_tape(bias, x) : Var();
  return channels ? layer_norm_channels(x, scale, shift, eps_) : layer_norm(x, scale, shift, eps_);
}

}  // namespace fovea::nn
