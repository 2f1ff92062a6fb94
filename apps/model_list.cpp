// SPDX-License-Identifier: Apache-2.0
#include "apps/model_list.h"

#include <fmt/format.h>
#include <fmt/ranges.h>

#include "apps/names.h"
#include "apps/retina_models.h"

namespace fovea::apps {

const std::vector<ModelEntry>& model_list() {
  static const std::vector<ModelEntry> models = retina_models();
  return models;
}

const ModelEntry& find_model(std::string_view name) {
  std::vector<std::string> names;
  for (const ModelEntry& model : model_list()) {
    if (model.name == name) return model;
    names.push_back(model.name);
  }
  throw UsageError(fmt::format("unknown model '{}'{} (there are: {})", name, did_you_mean(name, names),
                               fmt::join(names, ", ")));
}

const Preset& find_preset(const ModelEntry& model, std::string_view name) {
  std::vector<std::string> names;
  for (const Preset& preset : model.presets) {
    if (preset.name == name) return preset;
    names.push_back(preset.name);
  }
  if (names.empty()) throw UsageError(fmt::format("--preset {}: {} has no presets", name, model.name));
  throw UsageError(fmt::format("--preset {}: {} has no such preset{} (it has: {})", name, model.name,
                               did_you_mean(name, names), fmt::join(names, ", ")));
}

Config default_config(const ModelEntry& model) {
  std::vector<Key> keys{
      {.name = "model.name", .default_value = model.name, .doc = "which model", .choices = {model.name}}};
  for (const Key& key : model.keys) keys.push_back(key);
  for (const Key& key : shared_keys()) keys.push_back(key);
  return Config(std::move(keys));
}

Config read_run_config(const std::filesystem::path& run) {
  const std::filesystem::path file = run / "config.toml";
  const std::string model = toml_text_at(file, "model.name");
  if (model.empty())
    throw IoError(
        fmt::format("{}: names no model (model.name = …); was it written by fovea train?", file.string()));
  Config config = default_config(find_model(model));
  config.load_toml(file);
  return config;
}

}  // namespace fovea::apps
