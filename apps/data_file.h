// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <filesystem>
#include <map>
#include <string>

#include "tensor/io.h"

namespace fovea::apps {

/// A file of tensors of any kind that fovea reads.
struct DataFile {
  std::string kind;   ///< "safetensors", "checkpoint", "recording", "npz", "npy", "IDX"
  TensorMap tensors;  ///< on the host; one without a name (npy, IDX) is called "data"
  std::map<std::string, std::string> metadata;
};

/// Reads it whole; which kind it is follows from the first bytes, never from the name. A checkpoint and a
/// recording are safetensors files with certain tensors; whether these fit together is not looked at.
/// throws IoError, also if the file is of no kind that is known
DataFile load_data_file(const std::filesystem::path& path);

}  // namespace fovea::apps
