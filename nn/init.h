// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstdint>

#include "nn/module.h"

namespace fovea::nn {

/// Starting values. A rule fills a tensor from a Philox key; the ones that look at fan-in and fan-out expect
/// a weight [out, in, …] and throw ShapeError for rank below 2.
namespace init {

/// Inputs that one output sees, and outputs that one input reaches: in·Π(kernel), out·Π(kernel).
struct Fans {
  std::int64_t in, out;
};
Fans fans(const Shape& weight);

InitRule constant(float value);
/// N(0, sd²).
InitRule normal(float sd);
/// U(-bound, bound).
InitRule uniform(float bound);
/// U(±1/√fan_in): PyTorch's default for weights and biases of Linear and Conv2d.
InitRule fan_in_uniform(std::int64_t fan_in);
/// U(±gain·√(6/(in + out))); Keras' default.
/// source  Glorot and Bengio 2010
InitRule xavier_uniform(float gain = 1.0f);
/// N(0, gain²·2/(in + out)).
InitRule xavier_normal(float gain = 1.0f);
/// U(±gain·√(3/in)); gain √2 suits ReLU.
/// source  He, Zhang, Ren, Sun 2015
InitRule kaiming_uniform(float gain = 1.41421356f);
/// N(0, gain²/in).
InitRule kaiming_normal(float gain = 1.41421356f);

}  // namespace init

/// Rules that take the place of the layers' own, by role; empty ones leave the layers' rules.
struct InitOptions {
  InitRule weights = {};
  InitRule biases = {};
};

/// Fills all parameters of the subtree; buffers are left alone. A parameter draws from the stream
/// "init/<path from the root>", so its values depend on the seed and its name, not on the order in which the
/// model was built nor on the device.
///
///     initialize(model, 7);                                                              // as PyTorch
///     initialize(model, 7, {.weights = init::xavier_uniform(), .biases = init::constant(0)});  // as Keras
void initialize(Module& module, std::uint64_t seed, const InitOptions& options = {});

}  // namespace fovea::nn
