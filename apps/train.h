// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstdint>
#include <filesystem>
#include <optional>
#include <string>
#include <vector>

#include "apps/config.h"
#include "apps/run_folder.h"

namespace fovea::apps {

/// `fovea train`'s command line, as typed.
struct TrainOptions {
  std::string model = {};
  std::string preset = {};  ///< empty: none
  std::optional<std::filesystem::path> config = {};
  std::optional<std::string> data = {};
  std::vector<std::string> set = {};  ///< "key=value", in order
  std::string device = "auto";        ///< auto, cpu, simt, cuda, cuda:N
  std::optional<std::int64_t> seed = {}, steps = {}, epochs = {};
  std::optional<std::filesystem::path> out = {};  ///< empty: runs/MODEL-1, -2, …
  bool resume = false;
  std::optional<std::filesystem::path> init_from = {};
  std::optional<std::filesystem::path> profile = {};
  bool anomaly = false;
};

/// The same, resolved: everything a trainer needs to know.
struct TrainRequest {
  Config config;
  std::string device;  ///< for training_device()
  bool resume = false;
  std::optional<std::filesystem::path> init_from;  ///< weights to start from, unless a checkpoint is resumed
  std::optional<std::filesystem::path> profile =
      {};                ///< where to write a trace (apps/trace.h); empty: none is made
  bool anomaly = false;  ///< look at every number of every step: slow
};

/// Lays the settings over each other: defaults ← preset ← --config ← --set ← options. With --resume, the
/// config.toml of the run takes the place of preset and --config; `notes` tells where these say otherwise.
/// --steps N is train.steps = N with no limit by epochs, --epochs N the other way round.
/// throws UsageError, IoError
TrainRequest resolve_train(const TrainOptions& options, std::vector<std::string>& notes);

/// Trains in `run`, which is empty or holds the run to go on with. Writes config.toml (once data and model
/// are there), metrics.jsonl, checkpoints, summary.json, report.json and report.html. returns kDone, or
/// kInterrupted / kTerminated after saving
int train(const TrainRequest& request, RunFolder& run);

/// throws UsageError unless the text is auto, cpu, simt, cuda or cuda:N
void check_device_name(const std::string& device);

}  // namespace fovea::apps
