// SPDX-License-Identifier: Apache-2.0
#include "nn/step_guard.h"

namespace fovea::nn {

StepGuard::StepGuard(Module& module) : parameters_(module.named_parameters()) {
  for (const NamedBuffer& buffer : module.named_buffers())
    before_.emplace_back(buffer.value, buffer.value->clone("step_guard"));
}

StepGuard::~StepGuard() {
  if (kept_) return;
  for (const NamedParameter& named : parameters_) named.parameter->grad = Tensor();
  // Handles change places, no element is copied: this must work when there is no memory at all.
  for (auto& [buffer, copy] : before_) *buffer = std::move(copy);
}

}  // namespace fovea::nn
