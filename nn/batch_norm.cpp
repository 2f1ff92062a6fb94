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
    add_parameter("weight", weight, Role::scale, {features}, device, init::constant(options.initial_weight));
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
  const bool running =
      options_.mode == BatchNormMode::frozen || (options_.mode == BatchNormMode::follow && !training());
  const Var y = running ? batch_norm_inference(flat, scale, shift, running_mean, running_var, options_.eps)
                        : with_batch_statistics(flat, scale, shift);
  return y.shape() == shape ? y : reshape(y, shape);
}

Var BatchNorm::with_batch_statistics(const Var& x, const Var& scale, const Var& shift) {
  if (options_.mode != BatchNormMode::calibrate) {
    const bool moves = training();
    return batch_norm_train(x, scale, shift, moves ? running_mean : running_mean.clone(),
                            moves ? running_var : running_var.clone(), options_.eps, options_.momentum);
  }
  const bool again =
      x.tape() != nullptr && x.tape()->replaying();  // the op leaves the running values alone then
  if (batches_ == 0 && !again) {
    running_mean.fill(0.0);  // a NaN or ∞ in them would outlive momentum 1
    running_var.fill(0.0);
  }
  const Var y = batch_norm_train(x, scale, shift, running_mean, running_var, options_.eps,
                                 1.0f / static_cast<float>(batches_ + 1));
  if (!again) ++batches_;
  return y;
}

void BatchNorm::set_mode(BatchNormMode mode) {
  options_.mode = mode;
  batches_ = 0;
}

std::vector<BatchNorm*> batch_norms(Module& module) {
  std::vector<BatchNorm*> found;
  for (Module* part : module.modules())
    if (auto* norm = dynamic_cast<BatchNorm*>(part)) found.push_back(norm);
  return found;
}

void set_mode(Module& module, BatchNormMode mode) {
  for (BatchNorm* norm : batch_norms(module)) norm->set_mode(mode);
}

}  // namespace fovea::nn
