// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstdint>
#include <optional>
#include <utility>

#include "apps/run_state.h"
#include "autograd/anomaly.h"

namespace fovea::apps {

/// train_step() on this batch, with every number looked at: the data, each op forward and backward, the sums of the
/// gradients, the running statistics, and what the update leaves in weights and moments. Slow: all of it is copied to
/// the host. The state is that of a step half done if it
/// throws  NonFiniteError at the first that is not finite
Tensor checked_step(const Config& config, Task& task, RunState& run, const nn::Batch& batch);

/// All it takes to do a step again.
struct StepInputs {
  SavedRun before;  ///< copies, in host memory
  nn::Batch batch;
};

/// A step that left the numbers, where, and all it takes to do it again.
struct BadStep : NonFiniteError {
  BadStep(const NonFiniteError& found, std::int64_t number, double step_size, StepInputs began_from)
      : NonFiniteError(found), step(number), lr(step_size), inputs(std::move(began_from)) {}
  std::int64_t step;  ///< counted from 1, as in metrics.jsonl
  double lr;
  StepInputs inputs;
};

/// checked_step() on the task's next batch, with what it started from. throws BadStep
Tensor recorded_step(const Config& config, Task& task, RunState& run);

/// The first number that is not finite in what a checkpoint keeps of model and optimizer; empty if there is none.
std::optional<NonFinite> find_bad_state(Task& task, const nn::Optimizer& optimizer);

}  // namespace fovea::apps
