// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <filesystem>
#include <map>
#include <memory>
#include <string>

#include "nn/data/array_file.h"

/// Arrays in HDF5 files, through libhdf5. A build without that library refuses them with the command that
/// brings it. Calls wait for each other, since the library is not made for threads.
namespace fovea::nn {

/// "1.10.8", or "" in a build without HDF5.
std::string hdf5_version();

/// Datasets of up to six axes that hard links lead to from the root; texts and numbers among the root's
/// attributes. Data in other files (external storage, virtual datasets) are refused, and so is a file that is cut
/// off. A file whose bytes were changed is for libhdf5 to notice, and version 1.10 does not always: it may read
/// beyond its memory, so take HDF5 files from people you know.
std::unique_ptr<ArrayFile> open_hdf5(const std::filesystem::path& path);

/// Arrays above 1 MiB are cut into chunks of about that size and deflated.
void save_hdf5(const std::filesystem::path& path, const TensorMap& arrays,
               const std::map<std::string, std::string>& attributes);

}  // namespace fovea::nn
