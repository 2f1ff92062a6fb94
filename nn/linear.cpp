// SPDX-License-Identifier: Apache-2.0
#include "nn/linear.h"

#include "autograd/ops/bias_activation.h"
#include "autograd/ops/matmul.h"
#include "nn/init.h"

namespace fovea::nn {

Linear::Linear(std::int64_t in, std::int64_t out, const Device& device, LinearOptions options) {
  add_parameter("weight", weight, Role::weight, {out, in}, device, init::fan_in_uniform(in));
  if (options.bias) add_parameter("bias", bias, Role::bias, {out}, device, init::fan_in_uniform(in));
}

Var Linear::forward(const Var& x) {
  if (x.shape().rank() != 2 || x.shape()[1] != weight.value.shape()[1])
    reject(label("linear"), "x {} is not [B, {}], which weight {} expects", x.shape(),
           weight.value.shape()[1], weight.value.shape());
  const Var product = matmul(x, on_tape(weight, x), false, true);
  return bias.value.defined() ? bias_activation(product, on_tape(bias, x), Function::identity) : product;
}

}  // namespace fovea::nn
