// SPDX-License-Identifier: Apache-2.0
#pragma once

#include "apps/config.h"
#include "apps/run_state.h"
#include "apps/task.h"
#include "apps/trace.h"

namespace fovea::apps {

/// Forward, loss, backward, update, on the next batch; counts the step. Nothing in here reads a value back from
/// the device. With a trace, its parts and every op become spans. returns the loss to be shown, on the device
Tensor train_step(const Config& config, Task& task, RunState& run, Trace* trace = nullptr);

}  // namespace fovea::apps
