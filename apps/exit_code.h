// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <stdexcept>

#include "tensor/errors.h"

namespace fovea::apps {

/// What a script may rely on. 130 and 143 are what a shell reports for SIGINT and SIGTERM.
enum ExitCode : int {
  kDone = 0,
  kFailed = 1,
  kWrongUsage = 2,
  kInterrupted = 130,  ///< by SIGINT, after saving
  kTerminated = 143,   ///< by SIGTERM, after saving
};

/// The command line or a configuration is wrong: the program leaves with kWrongUsage and this one line.
struct UsageError : Error {
  using Error::Error;
};

/// A run ended before its time. what() is up to three lines: what happened, what is kept and what may help, and how
/// to look closer.
struct StoppedRun : std::runtime_error {
  using std::runtime_error::runtime_error;
};

}  // namespace fovea::apps
