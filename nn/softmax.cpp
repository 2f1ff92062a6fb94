// SPDX-License-Identifier: Apache-2.0
#include "nn/softmax.h"

#include "autograd/ops/softmax.h"

namespace fovea::nn {

Var Softmax::forward(const Var& x) { return softmax(x, dim_); }

Var LogSoftmax::forward(const Var& x) { return log_softmax(x, dim_); }

}  // namespace fovea::nn
