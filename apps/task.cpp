// SPDX-License-Identifier: Apache-2.0
#include "apps/task.h"

#include "apps/retina_training.h"
#include "models/retina/circuit.h"

namespace fovea::apps {

// All models so far are of the retina.
std::unique_ptr<Task> make_task(const Config& config, const Device& device) {
  return make_retina_task(config, device);
}

Trainable make_trainable(const Config& config, const Device& device) {
  return make_retina_trainable(config, retina::kCells, device);
}

Trainable make_trainable(const Config& config, const nn::Batch& batch, const Device& device) {
  return make_retina_trainable(config, batch.target.size(1), device);
}

nn::Batch blank_batch(const Config& config, const Device& device) {
  return blank_retina_batch(config, retina::kCells, device);
}

}  // namespace fovea::apps
