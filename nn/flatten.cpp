// SPDX-License-Identifier: Apache-2.0
#include "nn/flatten.h"

#include "autograd/ops/reshape.h"

namespace fovea::nn {

Var Flatten::forward(const Var& x) { return flatten(x, 1); }

}  // namespace fovea::nn
