// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <memory>

#include "apps/model_list.h"
#include "models/retina/rate_model.h"

namespace fovea::apps {

/// The baselines with their settings and presets: `ln`, `ln-revcorr` and `glm`.
ModelEntry ln_entry();
ModelEntry ln_revcorr_entry();
ModelEntry glm_entry();

/// The baseline of the configuration; null if it is of another model. throws UsageError for centres that do not fit
std::unique_ptr<retina::RateModel> make_baseline(const Config& config, std::int64_t cells,
                                                 const Device& device);

}  // namespace fovea::apps
