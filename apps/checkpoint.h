// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstdint>
#include <filesystem>
#include <map>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "nn/state.h"

namespace fovea::apps {

/// What a checkpoint file holds: safetensors with these names and notes, and a checksum over all of it.
///
///   model.<parameter or buffer>      optim.steps, .lr, .moment1/<parameter>, …     norm.mean, .sd
///   train.step, .epoch, .batch       best.score, .step                             stop.reference, .evaluations
///   plateau.lr, …                    log.metrics, log.events: bytes of the two logs at this step
///   notes: format, build, device, data (checksums), settings ("key = value" lines)
///
/// Nothing in it depends on when or how often it was saved: equal runs have equal files.
struct SavedRun {
  nn::State tensors;  ///< in host memory when read
  std::map<std::string, std::string> notes;
};

/// Writes a checkpoint file and reads it back. throws IoError
void write_checkpoint(const std::filesystem::path& file, const SavedRun& saved);

/// throws IoError if the file cannot be read, is damaged, is no checkpoint, or is of a newer fovea
SavedRun read_checkpoint(const std::filesystem::path& file);
/// The model's part of it, named as Module::load_state() wants it.
nn::State read_weights(const std::filesystem::path& file);

/// A checkpoint in a run folder.
struct Checkpoint {
  std::int64_t step = 0;
  std::filesystem::path path;
};

/// "step-120.safetensors"
std::string checkpoint_name(std::int64_t step);
/// Of a run folder, sorted by step. A file of such a name was whole once: it got its name by a rename.
std::vector<Checkpoint> checkpoints_of(const std::filesystem::path& run);
/// Where the link `latest` or `best` points, if that is there.
std::optional<Checkpoint> linked_checkpoint(const std::filesystem::path& run, std::string_view link);

/// which: "latest", "best", or a step as "1200". throws IoError if the run has none, listing those it has
Checkpoint find_checkpoint(const std::filesystem::path& run, std::string_view which);

}  // namespace fovea::apps
