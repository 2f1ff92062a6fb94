// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstdint>
#include <filesystem>
#include <map>
#include <string>
#include <vector>

#include "models/retina/recording.h"
#include "tensor/tensor.h"

namespace fovea::retina {

/// The response that a recording of ganglion cells is about, and the only one whose values are rates.
inline constexpr const char* kFiringRate = "firing_rate_10ms";

/// A recording as a model sees it, in host memory; bins are 10 ms. README.md says which arrays of a file it
/// comes from.
struct RecordingData {
  Tensor train_stimulus;             ///< [T, H, W] u8, or f32 if it is not of whole numbers 0 … 255
  Tensor train_rate;                 ///< [cells, T] f32, Hz; or what else was chosen, such as potentials
  std::vector<std::int64_t> blocks;  ///< frames of each piece of the training movie, in order
  Tensor test_stimulus;              ///< [T', H, W]
  Tensor test_rate;                  ///< [cells, T'], mean over repeats
  Tensor test_repeats;               ///< [repeats, cells, T']; one "repeat", the mean, if there are none
  Tensor test_true_rate;             ///< [cells, T'], known for simulated cells only; else undefined
  Tensor train_counts;               ///< [cells, T] f32, spikes in a bin; undefined if not in the file
  Tensor test_repeat_counts;         ///< [repeats, cells, T'] f32; undefined if not in the file
  Tensor stas;  ///< [cells, lags, H, W] f32, spike-triggered averages; undefined likewise
  std::map<std::string, std::string> metadata;
  std::vector<std::string> notes;  ///< what was worked out because the file does not say it, a sentence each

  std::int64_t cells() const { return train_rate.shape()[0]; }
  bool simulated() const;  ///< by our simulated retina
};

RecordingData recording_data(const Recording& recording, const Device& device);

/// Writes the labs' layout, to HDF5 if the name ends in .h5 or .hdf5, else to safetensors.
void save_recording(const std::filesystem::path& path, const RecordingData& data);

/// Counts per bin in Hz, with nothing smoothed: what a model that sees the spikes before a bin is fitted to.
Tensor unsmoothed_rate(const Tensor& counts);

/// Reads the labs' layout from either kind of file (told by the first bytes).
///
/// response  the dataset below train/response and test/response; or STIMULUS/DATASET of a recording of
///           interneurons, such as boxes/detrended_membrane_potential
/// throws    IoError of one line that names the file and what is missing, empty, turned round, no rate, or
///           does not fit together
RecordingData load_recording(const std::filesystem::path& path, const Device& device,
                             const std::string& response = kFiringRate);

/// What a model that knows the truth scores on the bins of the test movie from `first_bin` on, per cell: the
/// correlation of the true rate with the mean of the repeats, where it is known; else √ρ_N of the repeats
/// (noise_ceiling.h). NaN where neither is known, and where fewer than two bins are left.
std::vector<double> noise_ceilings(const RecordingData& data, std::int64_t first_bin);

/// What looks odd about a recording, a sentence each: silent or wild cells, a constant movie, repeats that do
/// not fit their mean, blocks too short to be used.
std::vector<std::string> oddities(const RecordingData& data);

}  // namespace fovea::retina
