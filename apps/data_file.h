// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <filesystem>
#include <map>
#include <string>

#include "nn/data/array_file.h"

namespace fovea::apps {

/// What is in a file of any kind that fovea reads.
struct DataFile {
  std::string kind;  ///< "safetensors", "checkpoint", "recording", "HDF5", "npz", "npy", "IDX"
  std::map<std::string, nn::ArrayInfo> arrays;  ///< one without a name (npy, IDX) is called "data"
  std::map<std::string, std::string> metadata;
};

/// Reads it whole, but for HDF5; which kind it is follows from the first bytes, never from the name. A
/// checkpoint is a safetensors file with certain tensors, and so is a recording, or an HDF5 file; whether these
/// fit together is not looked at.
/// throws IoError, also if the file is of no kind that is known
DataFile load_data_file(const std::filesystem::path& path);

}  // namespace fovea::apps
