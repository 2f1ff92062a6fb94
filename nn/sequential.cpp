// SPDX-License-Identifier: Apache-2.0
#include "nn/sequential.h"

#include "autograd/checkpoint.h"

namespace fovea::nn {

Var Sequential::forward(const Var& x) {
  Var y = x;
  for (const auto& child : children_)
    y = checkpoints_ ? checkpoint([&child](const Var& in) { return (*child)(in); }, y) : (*child)(y);
  return y;
}

}  // namespace fovea::nn
