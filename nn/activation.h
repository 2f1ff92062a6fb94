// SPDX-License-Identifier: Apache-2.0
#pragma once

#include "kernels/function.h"
#include "nn/module.h"

namespace fovea::nn {

/// y = f(x), element by element, for a function of kernels/function.h.
///
/// x, returns  [...] f32 or f64
/// throws      DTypeError
/// source      stands at the functions in autograd/ops/elementwise.h
template <Function f>
class Activation final : public Module {
 public:
  Var forward(const Var& x) override;
};

using ReLU = Activation<Function::relu>;
using Softplus = Activation<Function::softplus>;  ///< log(1 + e^x)
using Sigmoid = Activation<Function::sigmoid>;
using Tanh = Activation<Function::tanh>;
using ELU = Activation<Function::elu>;
using Exp = Activation<Function::exp>;

extern template class Activation<Function::relu>;
extern template class Activation<Function::softplus>;
extern template class Activation<Function::sigmoid>;
extern template class Activation<Function::tanh>;
extern template class Activation<Function::elu>;
extern template class Activation<Function::exp>;

}  // namespace fovea::nn
