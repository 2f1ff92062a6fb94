// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <utility>
#include <vector>

#include "nn/module.h"

namespace fovea::nn {

/// A training step that leaves no trace unless it is kept, for callers who go on after an OutOfMemory, say with a
/// smaller batch:
///
///     StepGuard guard(model);
///     Tape tape({seed, step});
///     tape.backward(loss_of(model(tape.input(batch))));
///     optimizer.step();
///     guard.keep();
///
/// A forward pass in training moves buffers, such as the running statistics of BatchNorm, long before it is known
/// whether the step succeeds. Without keep(), the end of the guard puts them back and makes all gradients undefined.
/// Weights, moments and the optimizer's count need no guard: Optimizer::step() changes them at its end or not at all.
class StepGuard {
 public:
  /// Copies the buffers: twice their memory while the guard lives. throws OutOfMemory, with nothing changed
  explicit StepGuard(Module& module);
  ~StepGuard();
  StepGuard(const StepGuard&) = delete;
  StepGuard& operator=(const StepGuard&) = delete;

  /// The step succeeded: buffers and gradients stay as they are.
  void keep() { kept_ = true; }

 private:
  std::vector<NamedParameter> parameters_;
  std::vector<std::pair<Tensor*, Tensor>> before_;  // buffer, copy
  bool kept_ = false;
};

}  // namespace fovea::nn
