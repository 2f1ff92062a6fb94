// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <memory>
#include <vector>

#include "apps/model_list.h"
#include "models/retina/rate_model.h"

namespace fovea::apps {

/// The models that are fitted to recordings, with their settings and presets.
std::vector<ModelEntry> retina_models();

/// The model of the configuration, initialised by its seed. throws UsageError for settings that do not fit together
std::unique_ptr<retina::RateModel> make_retina_model(const Config& config, std::int64_t cells,
                                                     const Device& device);

}  // namespace fovea::apps
