// SPDX-License-Identifier: Apache-2.0
#include "apps/checkpoint.h"

#include <fmt/format.h>

#include <nlohmann/json.hpp>

#include "apps/atomic_file.h"
#include "tensor/io.h"

namespace fovea::apps {

void save_checkpoint(RunFolder& run, std::int64_t step, const nn::State& state, bool best) {
  run.save_checkpoint(
      step,
      [&](const std::filesystem::path& path) {
        save_safetensors(path, state, {{"format", "fovea-run-1"}});
      },
      best, [](const std::filesystem::path& path) { load_checkpoint(path, Device::cpu({.threads = 1})); });
}

nn::State load_checkpoint(const std::filesystem::path& path, const Device& device) {
  Safetensors file = load_safetensors(path, device);
  if (!file.metadata.contains("format") || file.metadata.at("format") != "fovea-run-1")
    throw IoError(
        fmt::format("{}: is a safetensors file, but not a checkpoint of fovea train", path.string()));
  return std::move(file.tensors);
}

nlohmann::json read_summary(const std::filesystem::path& run) {
  const std::filesystem::path path = run / "summary.json";
  if (!std::filesystem::exists(path))
    throw IoError(
        fmt::format("{}: there is no summary.json; is it a finished run? (fovea train MODEL --out {})",
                    run.string(), run.string()));
  const auto summary = nlohmann::json::parse(read_file(path), nullptr, false);
  if (!summary.is_object()) throw IoError(fmt::format("{}: is not a JSON object", path.string()));
  return summary;
}

}  // namespace fovea::apps
