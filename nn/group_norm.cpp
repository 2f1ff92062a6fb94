// SPDX-License-Identifier: Apache-2.0
#include "nn/group_norm.h"

#include "autograd/ops/group_norm.h"
#include "nn/init.h"

namespace fovea::nn {

GroupNorm::GroupNorm(std::int64_t groups, std::int64_t channels, const Device& device, NormOptions options)
    : groups_(groups), channels_(channels), eps_(options.eps) {
  if (groups < 1 || channels % groups != 0)
    reject<ValueError>("group_norm", "groups must divide the {} channels, got {}", channels, groups);
  if (!options.affine) return;
  add_parameter("weight", weight, Role::scale, {channels}, device, init::constant(1.0f));
  add_parameter("bias", bias, Role::shift, {channels}, device, init::constant(0.0f));
}

Var GroupNorm::forward(const Var& x) {
  if (x.shape().rank() < 2 || x.shape()[1] != channels_)
    reject(label("group_norm"), "x {} does not have the {} channels that its {} groups are of", x.shape(),
           channels_, groups_);
  if (!weight.value.defined()) return group_norm(x, Var(), Var(), groups_, eps_);
  return group_norm(x, on_tape(weight, x), on_tape(bias, x), groups_, eps_);
}

}  // namespace fovea::nn
