// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <filesystem>
#include <string>
#include <vector>

#include "apps/config.h"
#include "models/retina/recording_edit.h"
#include "models/retina/recording_file.h"
#include "nn/data/window_dataset.h"

namespace fovea::apps {

/// A retina recording, cut into what is trained on, what is held out, and the repeated test movie.
struct RetinaData {
  retina::RecordingData recording;
  std::filesystem::path path;
  std::string checksum;  ///< of the file
  nn::WindowDataset train, validation, test;
  Tensor test_repeats;             ///< [repeats, cells, samples of `test`]
  std::vector<double> ceiling;     ///< per cell, on the bins of `test`; NaN if not known
  retina::PixelStatistics pixels;  ///< with data.normalize = pixel: done to both movies before anything else
};

/// The settings of how a recording is read and cut, data.*; those of all trainers are in shared_keys().
std::vector<Key> retina_data_keys();

/// Reads the recording that data.path names and prepares it as data.* say. Empty: the standard simulated one,
/// made now if it is not there yet. What was worked out or looks odd is told on stderr.
/// throws IoError, UsageError
RetinaData load_retina_data(const Config& config);

/// Where generated recordings are kept: $XDG_CACHE_HOME/fovea, else ~/.cache/fovea, else the working folder.
std::filesystem::path cache_folder();

struct RecordingRequest {
  std::string stimulus = "natural";  ///< see stimulus_names()
  std::string circuit = "standard";  ///< standard or predictive
  double minutes = 10;
  std::uint64_t seed = 1;
};
/// What --stimulus may be: photographs, dead-leaves, white-noise (or whitenoise), and natural, which is photographs where
/// their package is installed, else dead leaves.
const std::vector<std::string>& stimulus_names();
/// The file of cache_folder() that holds such a recording.
std::filesystem::path cached_recording(const RecordingRequest& request);
/// Simulates a recording and writes it to `path` as a whole; shows progress on stderr.
void make_recording(const RecordingRequest& request, const std::filesystem::path& path);

}  // namespace fovea::apps
