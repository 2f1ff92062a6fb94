// SPDX-License-Identifier: Apache-2.0
#pragma once

#include "nn/module.h"

namespace fovea::nn {

/// Shares of e^x along one dimension; see fovea::softmax. For training on labels CrossEntropyLoss takes logits.
///
/// x        [...] f32, of rank 1 or more
/// returns  as x; at least 0, and 1 in sum along dim
/// throws   ShapeError, DTypeError
/// source   Bridle 1990, Probabilistic interpretation of feedforward classification network outputs
class Softmax final : public Module {
 public:
  explicit Softmax(int dim = -1) : dim_(dim) {}
  Var forward(const Var& x) override;

 private:
  int dim_;
};

/// The logarithm of Softmax, without loss of digits for small shares; see fovea::log_softmax.
///
/// x, returns, throws, source  as Softmax
class LogSoftmax final : public Module {
 public:
  explicit LogSoftmax(int dim = -1) : dim_(dim) {}
  Var forward(const Var& x) override;

 private:
  int dim_;
};

}  // namespace fovea::nn
