// SPDX-License-Identifier: Apache-2.0
#pragma once

#include "apps/config.h"
#include "apps/run_state.h"
#include "apps/task.h"
#include "apps/trace.h"

namespace fovea::apps {

/// Forward, loss and backward of this batch: fills the gradients of the parameters. returns the loss to be shown
Tensor compute_gradients(const Config& config, Task& task, const RunState& run, const nn::Batch& batch,
                         TapeObserver* observer = nullptr, Trace* trace = nullptr);
/// Moves the weights by their gradients, which are then gone, and counts the step.
void apply_gradients(RunState& run);

/// Both, on the next batch. Nothing in here reads a value back from the device. With a trace, its parts and every op
/// become spans. returns the loss to be shown, on the device
Tensor train_step(const Config& config, Task& task, RunState& run, Trace* trace = nullptr);

}  // namespace fovea::apps
