// SPDX-License-Identifier: Apache-2.0
#include "apps/train_step.h"

namespace fovea::apps {

Tensor train_step(const Config& config, Task& task, RunState& run) {
  const nn::Batch batch = task.next_batch();
  Tape tape({static_cast<std::uint64_t>(config.integer("train.seed")), static_cast<std::uint32_t>(run.step)});
  const StepLoss loss = task.trainable().loss(tape, batch);
  tape.backward(loss.total);
  run.optimizer.set_lr(run.lr());
  run.optimizer.step();
  run.optimizer.zero_grad();
  ++run.step;
  return loss.shown;
}

}  // namespace fovea::apps
