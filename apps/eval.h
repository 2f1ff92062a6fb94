// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <filesystem>
#include <optional>
#include <string>

#include "apps/checkpoint.h"
#include "apps/retina_data.h"
#include "models/retina/predict.h"
#include "models/retina/scores.h"

namespace fovea::apps {

/// `fovea eval`'s command line.
struct EvalRequest {
  std::filesystem::path run;
  std::string split = "test";       ///< train, validation or test
  std::string checkpoint = "best";  ///< best, latest, or a step
  std::string device = "auto";      ///< "auto" is Device::best(), else for Device::parse()
  bool json = false;                ///< one JSON object on stdout instead of a table
  /// Another recording of the same cells whose test movie takes the place of the run's (data.test).
  std::optional<std::filesystem::path> data = {};
};

/// What a trained model says about a part of the data, and how well.
struct Evaluated {
  Config config;
  Checkpoint checkpoint;
  RetinaData data;
  retina::Predictions predicted;
  std::string spike_history;  ///< as of retina_report.h
  retina::Scores scores;
};
/// throws IoError, UsageError
Evaluated evaluate_run(const EvalRequest& request);

/// Prints the scores of a trained model, per cell and mean, beside the noise ceiling.
int evaluate(const EvalRequest& request);

}  // namespace fovea::apps
