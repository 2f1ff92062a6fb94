// SPDX-License-Identifier: Apache-2.0
#include "nn/calibration_pass.h"

#include <algorithm>

namespace fovea::nn {

CalibrationPass::CalibrationPass(Module& module) {
  for (Module* part : module.modules()) training_.emplace_back(part, part->training());
  for (BatchNorm* norm : batch_norms(module))
    during_.push_back({norm, norm->mode(), norm->running_mean.clone("calibration_pass"),
                       norm->running_var.clone("calibration_pass")});
  exchange();
  module.eval();
  set_mode(module, BatchNormMode::calibrate);
}

/// Handles change places: this works when there is no memory at all.
void CalibrationPass::exchange() noexcept {
  for (During& d : during_) {
    std::swap(d.norm->running_mean, d.mean);
    std::swap(d.norm->running_var, d.var);
  }
}

void CalibrationPass::keep() {
  if (std::none_of(during_.begin(), during_.end(), [](const During& d) { return d.norm->batches() > 0; }))
    reject<ValueError>("calibration_pass", "no batch has passed through any of the {} batch norms",
                       during_.size());
  exchange();
  for (const During& d : during_) {
    d.norm->running_mean.copy_from(d.mean);
    d.norm->running_var.copy_from(d.var);
    d.norm->set_mode(BatchNormMode::frozen);
  }
  during_.clear();
}

CalibrationPass::~CalibrationPass() {
  exchange();
  for (const During& d : during_) d.norm->set_mode(d.mode);
  for (const auto& [part, training] : training_) part->train(training);  // children correct what parents set
}

}  // namespace fovea::nn
