// SPDX-License-Identifier: Apache-2.0
#include "apps/train_step.h"

#include <optional>

namespace fovea::apps {
namespace {

nn::Batch next_batch(Task& task, Trace* trace) {
  const Span span(trace, "data", "step");
  return task.next_batch();
}

/// The part of apply_gradients() that a graph may hold.
void update_weights(RunState& run, const Tensor& total) {
  run.optimizer.stop_if_not_finite(total);
  run.clip_gradients();
  run.optimizer.apply_step();
  run.optimizer.zero_grad();
}

/// The others: before a replay, and after it.
void send_lr(RunState& run) { run.optimizer.set_lr(run.lr()); }
void count_step(RunState& run) {
  run.optimizer.count_step();
  ++run.step;
}

Tensor step_on(const Config& config, Task& task, RunState& run, const nn::Batch& batch, Trace* trace) {
  std::optional<TraceOps> ops;
  if (trace != nullptr) ops.emplace(*trace);
  const Losses losses = compute_gradients(config, task, run, batch, ops ? &*ops : nullptr, trace);
  const Span span(trace, "optimizer", "step");
  apply_gradients(run, losses.total);
  return losses.shown;
}

bool same_shape(const Tensor& a, const Tensor& b) {
  return a.defined() == b.defined() && (!a.defined() || (a.shape() == b.shape() && a.dtype() == b.dtype()));
}

Tensor room_for(const Tensor& x) { return x.defined() ? Tensor::empty_like(x, "batch") : Tensor(); }

void copy(const Tensor& from, const Tensor& to) {
  if (to.defined()) to.copy_from(from);
}

}  // namespace

Losses compute_gradients(const Config& config, Task& task, const RunState& run, const nn::Batch& batch,
                         TapeObserver* observer, Trace* trace, const std::uint32_t* device_step) {
  Tape tape({static_cast<std::uint64_t>(config.integer("train.seed")), static_cast<std::uint32_t>(run.step),
             device_step},
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
  return {loss.total.value(), loss.shown};
}

void apply_gradients(RunState& run, const Tensor& total) {
  send_lr(run);
  update_weights(run, total);
  count_step(run);
}

Tensor train_step(const Config& config, Task& task, RunState& run, Trace* trace) {
  const Span step(trace, "step", "train");
  return step_on(config, task, run, next_batch(task, trace), trace);
}

Tensor StepGraph::step(Trace* trace) {
  const Span step(trace, "step", "train");
  const nn::Batch batch = next_batch(task_, trace);
  if (!same_shape(batch.x, input_.x) || !same_shape(batch.target, input_.target) ||
      !same_shape(batch.mask, input_.mask) || !same_shape(batch.past, input_.past)) {
    graph_.reset();  // its memory first
    shown_ = Tensor();
    input_ = {room_for(batch.x), room_for(batch.target), {}, room_for(batch.mask), room_for(batch.past)};
    return step_on(config_, task_, run_, batch, trace);
  }
  if (!graph_) {
    const Span span(trace, "record", "step");
    record();
  }
  const Span span(trace, "replay", "step");
  copy(batch.x, input_.x);
  copy(batch.target, input_.target);
  copy(batch.mask, input_.mask);
  copy(batch.past, input_.past);
  send_lr(run_);
  graph_->replay();
  count_step(run_);
  return shown_;
}

void StepGraph::record() {
  graph_ = Graph::capture(task_.device(), [this] {
    const Losses losses =
        compute_gradients(config_, task_, run_, input_, nullptr, nullptr, run_.optimizer.device_steps());
    update_weights(run_, losses.total);
    shown_ = losses.shown;
  });
}

}  // namespace fovea::apps
