// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <filesystem>
#include <nlohmann/json_fwd.hpp>
#include <string>

#include "apps/checked_step.h"

namespace fovea::apps {

nlohmann::ordered_json to_json(const NonFinite& finding);
/// throws nlohmann's exceptions where the text is not what to_json() writes
NonFinite finding_from_json(const nlohmann::json& json);

/// A bad step that can be done again anywhere, without run and data set:
///
///   config.toml          settings of the run        weights.safetensors  all state before the step: a checkpoint
///   batch.safetensors    x, target, samples, mask, past  report.json          what was found, step, build, device
///   README.txt           the command that does the step again
///
/// Written as a whole or not at all; a former one in the same place is replaced. throws IoError
void write_repro(const std::filesystem::path& folder, const Config& config, const Device& device,
                 const BadStep& bad);

struct Repro {
  SavedRun before;
  nn::Batch batch;  ///< in host memory
  NonFinite finding;
  std::int64_t step;
  std::string device;       ///< "cpu", "simt", "cuda:0"
  std::string description;  ///< "cpu avx512, 2 threads"
};
/// throws IoError naming the file that is missing or damaged
Repro read_repro(const std::filesystem::path& folder);

}  // namespace fovea::apps
