// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <utility>
#include <vector>

#include "nn/batch_norm.h"

namespace fovea::nn {

/// One pass over the training data that sets the running statistics of each BatchNorm below `module` to the averages
/// over the batches, and then leaves them frozen. Weights are not trained:
///
///     CalibrationPass pass(model);
///     for (const Batch& batch : batches) model(batch.x);
///     pass.keep();  // from here on train() and eval() use the same statistics
///
/// While it lives, each BatchNorm normalises with its batch and everything else is in eval mode, without noise. Its
/// end puts train() and eval() back as they were; without keep() also modes and statistics. So a pass that was
/// interrupted by an exception leaves no trace. A batch that failed half-way, say for lack of memory, has been counted
/// by the layers that it has passed: begin a new pass.
///
/// source  the usual remedy where statistics in training and in use differ; averages: Ioffe and Szegedy 2015,
///         Algorithm 2
class CalibrationPass {
 public:
  /// `module` must outlive the pass, and stay on its device. throws OutOfMemory, with nothing changed
  explicit CalibrationPass(Module& module);
  ~CalibrationPass();
  CalibrationPass(const CalibrationPass&) = delete;
  CalibrationPass& operator=(const CalibrationPass&) = delete;

  /// Freezes the averages. A BatchNorm that no batch has reached keeps the statistics that it had.
  /// throws ValueError if none was reached
  void keep();

 private:
  struct During {
    BatchNorm* norm;
    BatchNormMode mode;  // before the pass
    Tensor mean, var;    // the module's own, which a State may share; meanwhile it averages in copies
  };
  void exchange() noexcept;

  std::vector<std::pair<Module*, bool>> training_;  // parents first
  std::vector<During> during_;
};

}  // namespace fovea::nn
