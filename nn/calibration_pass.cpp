// SPDX-License-Identifier: Apache-2.0
#include "nn/calibration_pass.h"

#include <algorithm>

namespace fovea::nn {

CalibrationPass::CalibrationPass(Module& module) {
  for (Module* part : module.modules()) training_.emplace_back(part, part->training());
  for (BatchNorm* norm : batch_norms(module))
    before_.push_back({norm, norm->mode(), norm->running_mean.clone("calibration_pass"),
                       norm->running_var.clone("calibration_pass")});
  module.eval();
  set_mode(module, BatchNormMode::calibrate);
}

void CalibrationPass::keep() {
  if (std::none_of(before_.begin(), before_.end(), [](const Before& b) { return b.norm->batches() > 0; }))
    reject<ValueError>("calibration_pass", "no batch has passed through any of the {} batch norms",
                       before_.size());
  for (const Before& before : before_) before.norm->set_mode(BatchNormMode::frozen);
  before_.clear();
}

CalibrationPass::~CalibrationPass() {
  for (auto& [norm, mode, mean, var] : before_) {
    norm->set_mode(mode);
    norm->running_mean = std::move(mean);  // handles change places: this works when there is no memory at all
    norm->running_var = std::move(var);
  }
  for (const auto& [part, training] : training_) part->train(training);  // children correct what parents set
}

}  // namespace fovea::nn
