// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstdint>
#include <filesystem>
#include <functional>
#include <string>
#include <vector>

#include "apps/train.h"

namespace fovea::apps {

/// `fovea suite`: a whole table of a paper, models × conditions × seeds.
struct SuiteRequest {
  std::string name;
  std::filesystem::path out;
  std::string device = "auto";
  double minutes = 15;      ///< of training movie
  std::int64_t epochs = 6;  ///< of each training
  std::int64_t seeds = 3;   ///< of the models that are compared with error bars
};

/// One training of a suite; its folder is `name` below the suite's runs/.
struct SuiteRun {
  std::string name;      ///< "bn-cnn-seed2"
  TrainOptions options;  ///< without out and resume
};

/// Trains those of the runs that have no summary yet, goes on with those that have a checkpoint, and leaves the others
/// alone. A signal ends it after the run that it stopped has saved. returns kDone, kInterrupted or kTerminated
int train_all(const std::vector<SuiteRun>& runs, const std::filesystem::path& folder);

/// What a suite was made to show, decided before it ran.
struct Criterion {
  std::string claim;     ///< "BN-CNN reaches 0.80 of the ceiling"
  std::string measured;  ///< "0.83"
  bool met;
};

/// `fovea suite retina`. returns an exit code
int run_retina_suite(const SuiteRequest& request);

}  // namespace fovea::apps
