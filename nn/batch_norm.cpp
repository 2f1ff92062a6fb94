// SPDX-License-Identifier: Apache-2.0
#include "nn/batch_norm.h"

#include "autograd/ops/batch_norm.h"
#include "autograd/ops/elementwise.h"
#include "autograd/ops/reshape.h"
#include "nn/init.h"

namespace fovea::nn {

BatchNorm::BatchNorm(std::int64_t features, const Device& device, BatchNormOptions options)
    : running_mean(Tensor::zeros({features}, DType::f32, device, "buffer")),
      running_var(Tensor::full({features}, 1.0, DType::f32, device, "buffer")),
      options_(options) {
  if (options.affine) {
    add_parameter("weight", weight, Role::scale, {features}, device, init::constant(1.0f));
    add_parameter("bias", bias, Role::shift, {features}, device, init::constant(0.0f));
  }
  add_buffer("running_mean", running_mean);
  add_buffer("running_var", running_var);
}

Var BatchNorm::forward(const Var& x) {
  const bool per_unit = options_.statistics == Statistics::per_unit;
  const std::int64_t features = running_mean.numel();
  const Shape& shape = x.shape();
  std::int64_t found = 1;
  for (int d = 1; d < (per_unit ? shape.rank() : std::min(shape.rank(), 2)); ++d) found *= shape[d];
  if (shape.rank() < 2 || found != features)
    reject(label("batch_norm"), "x {} does not have the {} {} that its statistics are for", shape, features,
           per_unit ? "units" : "channels");

  Var scale, shift;
  if (weight.value.defined()) {
    scale = on_tape(weight, x);
    if (options_.absolute_scale) scale = abs(scale);
    shift = on_tape(bias, x);
  }
  const Var flat = per_unit && shape.rank() > 2 ? flatten(x) : x;
  const Var y =
      training()
          ? batch_norm_train(flat, scale, shift, running_mean, running_var, options_.eps, options_.momentum)
          : batch_norm_inference(flat, scale, shift, running_mean, running_var, options_.eps);
  return y.shape() == shape ? y : reshape(y, shape);
}

}  // namespace fovea::nn
