// SPDX-License-Identifier: Apache-2.0
#include "nn/activation.h"

#include "autograd/ops/elementwise.h"

namespace fovea::nn {

template <Function f>
Var Activation<f>::forward(const Var& x) {
  return apply(f, x);
}

template class Activation<Function::relu>;
template class Activation<Function::softplus>;
template class Activation<Function::sigmoid>;
template class Activation<Function::tanh>;
template class Activation<Function::elu>;
template class Activation<Function::exp>;

}  // namespace fovea::nn
