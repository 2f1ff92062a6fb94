// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <filesystem>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "apps/config.h"

namespace fovea::apps {

/// Settings that belong together under one name.
struct Preset {
  std::string name;
  std::string summary;
  std::vector<std::pair<std::string, Value>> settings;
};

/// A model that `fovea train` knows: what it is called and what can be set.
struct ModelEntry {
  std::string name;
  std::string summary;
  std::vector<Key> keys;  ///< model.* and data.*; the shared keys are not repeated here
  std::vector<Preset> presets;
  bool closed_form = false;  ///< fitted in one pass over the data: a run has no steps
};

const std::vector<ModelEntry>& model_list();

/// throws UsageError with the nearest name
const ModelEntry& find_model(std::string_view name);
/// throws UsageError with the nearest name and the model's presets
const Preset& find_preset(const ModelEntry& model, std::string_view name);

/// model.name, then the shared keys, then the model's own: the defaults of a run of this model.
Config default_config(const ModelEntry& model);

/// The settings that a run was made with, from its folder's config.toml. throws IoError, UsageError
Config read_run_config(const std::filesystem::path& run);

}  // namespace fovea::apps
