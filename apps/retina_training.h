// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstdint>
#include <memory>

#include "apps/task.h"

namespace fovea::apps {

/// Fits a model of firing rates to a recording (apps/retina_data.h). The score is the correlation with the
/// held-out responses, mean of the cells.
std::unique_ptr<Task> make_retina_task(const Config& config, const Device& device);

/// For a recording of so many cells of the standard screen.
Trainable make_retina_trainable(const Config& config, std::int64_t cells, const Device& device);
nn::Batch blank_retina_batch(const Config& config, std::int64_t cells, const Device& device);

}  // namespace fovea::apps
