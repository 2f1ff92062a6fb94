// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cmath>
#include <cstdint>

#include "apps/config.h"
#include "apps/task.h"
#include "nn/optim/optimizer.h"
#include "nn/optim/schedule.h"
#include "nn/state.h"

namespace fovea::apps {

/// Everything that changes while a run goes on, and nothing else: what a checkpoint holds, and what a resumed
/// run starts from. The task's model and loader position belong to it; the task keeps them.
class RunState {
 public:
  RunState(const Config& config, Task& task);

  /// The step size of the next step.
  double lr() const;
  /// Takes in the scores of an evaluation; true if these weights are the best so far.
  bool take_score(double score);

  nn::State to_tensors() const;
  /// throws ValueError, naming what is missing or of another shape
  void from_tensors(const nn::State& state);

  std::int64_t step = 0;       ///< steps done
  double best = std::nan("");  ///< highest score so far
  nn::Optimizer optimizer;

 private:
  const Config& config_;
  Task& task_;
  nn::Plateau plateau_;
};

/// Forward, loss, backward, update, on the next batch; counts the step. Nothing in here reads a value back from
/// the device. returns the loss to be shown, on the device
Tensor train_step(const Config& config, Task& task, RunState& run);

}  // namespace fovea::apps
