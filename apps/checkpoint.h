// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstdint>
#include <filesystem>
#include <nlohmann/json_fwd.hpp>

#include "apps/run_folder.h"
#include "nn/state.h"

namespace fovea::apps {

/// Writes a checkpoint of the run and reads it back before it takes its place. Names:
///   model.<parameter or buffer>   optim.steps, optim.moment1.<parameter>, …   train.step, .epoch, .batch,
///   .best plateau.<field>               norm.mean, norm.sd of the stimulus
void save_checkpoint(RunFolder& run, std::int64_t step, const nn::State& state, bool best);

/// throws IoError if the file is damaged or no checkpoint
nn::State load_checkpoint(const std::filesystem::path& path, const Device& device);

/// summary.json of a run folder. throws IoError if there is none: the run has not finished
nlohmann::json read_summary(const std::filesystem::path& run);

}  // namespace fovea::apps
