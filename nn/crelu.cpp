// SPDX-License-Identifier: Apache-2.0
#include "nn/crelu.h"

#include "autograd/ops/crelu.h"

namespace fovea::nn {

Var CReLU::forward(const Var& x) { return crelu(x, dim_); }

}  // namespace fovea::nn
