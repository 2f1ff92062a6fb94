// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstdint>
#include <filesystem>
#include <string>

#include "kernels/geometry.h"

namespace fovea::apps {

/// `fovea encode`'s command line.
struct EncodeRequest {
  std::filesystem::path run, movie, out;
  std::string what = "auto";        ///< rates, maps, or auto: maps if the model has them
  std::string contrast = "match";   ///< match, keep or none
  std::string stimulus;             ///< which array of a file of several
  std::string checkpoint = "best";  ///< best, latest, or a step
  std::string device = "auto";      ///< "auto" is Device::best(), else for Device::parse()
  double fps = 0.0;                 ///< frames a second; 0: the movie's own, or a frame a bin
  bool square = false;              ///< the largest square in the middle
  Size2d size = 0;                  ///< frames are brought to it; 0: as they are
  std::int64_t every = 1;           ///< only each so many-th bin
  std::int64_t pool = 0;            ///< maps averaged to so many rows and columns; 0: as they are
};

/// Writes what a trained model answers to a movie (docs/ENCODE.md lists the arrays), as a whole or not at all.
/// throws UsageError, IoError, ValueError
int encode_movie(const EncodeRequest& request);

}  // namespace fovea::apps
