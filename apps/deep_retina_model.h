// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <memory>

#include "apps/model_list.h"
#include "models/retina/deep_retina.h"

namespace fovea::apps {

/// `deep-retina` with its settings and presets.
ModelEntry deep_retina_entry();

/// throws UsageError for settings that do not fit together
retina::DeepRetinaOptions deep_retina_options(const Config& config, std::int64_t cells);

}  // namespace fovea::apps
