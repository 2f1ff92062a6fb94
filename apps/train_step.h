// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <optional>

#include "apps/config.h"
#include "apps/run_state.h"
#include "apps/task.h"
#include "apps/trace.h"
#include "tensor/graph.h"

namespace fovea::apps {

/// What a step's forward pass gave, one element each, on the device.
struct Losses {
  Tensor total;  ///< what was differentiated
  Tensor shown;
};

/// Forward, loss and backward of this batch: fills the gradients of the parameters.
///
/// device_step  where random ops read the step from; null: it is run.step, a number that a graph would not renew
Losses compute_gradients(const Config& config, Task& task, const RunState& run, const nn::Batch& batch,
                         TapeObserver* observer = nullptr, Trace* trace = nullptr,
                         const std::uint32_t* device_step = nullptr);
/// Moves the weights by their gradients, which are then gone, and counts the step. A total or a gradient that is not
/// finite stops the optimizer: see Optimizer::stopped_at().
void apply_gradients(RunState& run, const Tensor& total);

/// Both, on the next batch. Nothing in here reads a value back from the device. With a trace, its parts and every op
/// become spans. returns the loss to be shown, on the device
Tensor train_step(const Config& config, Task& task, RunState& run, Trace* trace = nullptr);

/// train_step() as one graph: forward, loss, backward, clipping and update, recorded once and then replayed, with the
/// same bits. Between two steps the host copies a batch, counts, and sends a learning rate if it has changed.
class StepGraph {
 public:
  /// config, task and run must outlive it. The task is on a device that has graphs.
  StepGraph(const Config& config, Task& task, RunState& run) : config_(config), task_(task), run_(run) {}

  /// One step on the next batch. The first batch of any shapes is done by train_step(), so that libraries make their
  /// handles; the second is recorded. returns the loss to be shown, on the device, until the next step
  Tensor step(Trace* trace = nullptr);
  /// Kernels of a replay; 0 while nothing is recorded.
  std::int64_t launches() const { return graph_ ? graph_->launches() : 0; }

 private:
  void record();

  const Config& config_;
  Task& task_;
  RunState& run_;
  nn::Batch input_;  // where the graph reads; of the shapes that were seen last. Its samples stay unknown
  Tensor shown_;     // where it writes
  std::optional<Graph> graph_;
};

}  // namespace fovea::apps
