// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <filesystem>
#include <map>
#include <string>

#include "tensor/tensor.h"

/// Tensors in files. Readers check every length against the file's size before they allocate. All throw
/// IoError naming the path and what is wrong; writers leave an incomplete file behind if the disk fills up,
/// so write to a temporary name and rename.
namespace fovea {

using TensorMap = std::map<std::string, Tensor>;

struct Safetensors {
  TensorMap tensors;
  std::map<std::string, std::string> metadata;
};

/// The safetensors format: length, JSON header, raw little-endian data. Equal contents give equal bytes.
void save_safetensors(const std::filesystem::path& path, const TensorMap& tensors,
                      const std::map<std::string, std::string>& metadata = {});
Safetensors load_safetensors(const std::filesystem::path& path, const Device& device);

/// NumPy's .npy, version 1 and 2; C and Fortran order; little-endian f4, f8, i4, i8, u1.
void save_npy(const std::filesystem::path& path, const Tensor& tensor);
Tensor load_npy(const std::filesystem::path& path, const Device& device);

}  // namespace fovea
