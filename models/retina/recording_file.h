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

/// A recording as a model sees it, in host memory.
///
/// In a file (safetensors) the tensors have the names of the labs' HDF5 layout:
///   train/stimulus                   [T, 50, 50] u8
///   train/response/firing_rate_10ms  [cells, T]
///   train/response/binned            [cells, T] spikes per bin; may be missing
///   train/blocks                     [B] i64, frames of each block
///   test/stimulus                    [T', 50, 50] u8
///   test/response/firing_rate_10ms   [cells, T'], mean over repeats
///   test/repeats                     [repeats, cells, T'], rates of single trials
///   test/true_rate                   [cells, T'], known for simulated cells only
/// Rates are f32 in Hz, one bin is 10 ms.
struct RecordingData {
  Tensor train_stimulus, train_rate;
  Tensor train_counts;  ///< spikes; undefined if the file has none
  std::vector<std::int64_t> blocks;
  Tensor test_stimulus, test_rate, test_repeats;
  Tensor test_true_rate;  ///< undefined if nobody knows it
  std::map<std::string, std::string> metadata;

  std::int64_t cells() const { return train_rate.shape()[0]; }
};

RecordingData recording_data(const Recording& recording, const Device& device);

void save_recording(const std::filesystem::path& path, const RecordingData& data);
/// throws IoError naming the file and what is missing, empty, not a rate, or does not fit together
RecordingData load_recording(const std::filesystem::path& path, const Device& device);

/// Counts per bin in Hz, with nothing smoothed: what a model that sees the spikes before a bin is fitted to.
Tensor unsmoothed_rate(const Tensor& counts);

/// Correlation of the true rate with the mean of the repeats over the bins from `first_bin` on, per cell:
/// what a model that knows the truth scores. NaN where nobody knows the true rate, and where fewer than two
/// bins are left.
std::vector<double> noise_ceilings(const RecordingData& data, std::int64_t first_bin);

}  // namespace fovea::retina
