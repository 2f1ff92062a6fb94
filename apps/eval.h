// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <filesystem>
#include <string>

namespace fovea::apps {

/// `fovea eval`'s command line.
struct EvalRequest {
  std::filesystem::path run;
  std::string split = "test";       ///< train, validation or test
  std::string checkpoint = "best";  ///< best, latest, or a step
  std::string device = "auto";      ///< "auto" is Device::best(), else for Device::parse()
  bool json = false;                ///< one JSON object on stdout instead of a table
};

/// Prints the scores of a trained model, per cell and mean, beside the noise ceiling.
int evaluate(const EvalRequest& request);

}  // namespace fovea::apps
