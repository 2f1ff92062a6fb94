// SPDX-License-Identifier: Apache-2.0
#include "nn/sequential.h"

namespace fovea::nn {

Var Sequential::forward(const Var& x) {
  Var y = x;
  for (const auto& child : children_) y = (*child)(y);
  return y;
}

}  // namespace fovea::nn
