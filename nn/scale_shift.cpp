// SPDX-License-Identifier: Apache-2.0
#include "nn/scale_shift.h"

#include "autograd/ops/elementwise.h"
#include "nn/init.h"

namespace fovea::nn {

ScaleShift::ScaleShift(const Shape& units, const Device& device) {
  add_parameter("weight", weight, Role::scale, units, device, init::constant(1.0f));
  add_parameter("bias", bias, Role::shift, units, device, init::constant(0.0f));
}

Var ScaleShift::forward(const Var& x) {
  if (x.shape().rank() < 1 || x.shape().without(0) != weight.value.shape())
    reject(label("scale_shift"), "x {} does not have the units {} after its first extent", x.shape(),
           weight.value.shape());
  return x * on_tape(weight, x) + on_tape(bias, x);
}

}  // namespace fovea::nn
