// SPDX-License-Identifier: Apache-2.0
#include "apps/train_step.h"

#include <optional>

namespace fovea::apps {
namespace {

nn::Batch next_batch(Task& task, Trace* trace) {
  const Span span(trace, "data", "step");
  return task.next_batch();
}

}  // namespace

Tensor compute_gradients(const Config& config, Task& task, const RunState& run, const nn::Batch& batch,
                         TapeObserver* observer, Trace* trace) {
  Tape tape({static_cast<std::uint64_t>(config.integer("train.seed")), static_cast<std::uint32_t>(run.step)},
            observer);
  StepLoss loss;
  {
    const Span span(trace, "forward", "step");
    loss = task.trainable().loss(tape, batch);
  }
  {
    const Span span(trace, "backward", "step");
    tape.backward(loss.total);
  }
  return loss.shown;
}

void apply_gradients(RunState& run) {
  run.clip_gradients();
  run.optimizer.set_lr(run.lr());
  run.optimizer.step();
  run.optimizer.zero_grad();
  ++run.step;
}

Tensor train_step(const Config& config, Task& task, RunState& run, Trace* trace) {
  const Span step(trace, "step", "train");
  const nn::Batch batch = next_batch(task, trace);
  std::optional<TraceOps> ops;
  if (trace != nullptr) ops.emplace(*trace);
  const Tensor shown = compute_gradients(config, task, run, batch, ops ? &*ops : nullptr, trace);
  const Span span(trace, "optimizer", "step");
  apply_gradients(run);
  return shown;
}

}  // namespace fovea::apps
