// SPDX-License-Identifier: Apache-2.0
// In the place of hdf5.cpp in a build without libhdf5.
#include "nn/data/hdf5.h"
#include "tensor/errors.h"

namespace fovea::nn {
namespace {

[[noreturn]] void refuse(const std::filesystem::path& path) {
  throw IoError(fmt::format(  // untested: tests run in a build that has libhdf5
      "{}: is an HDF5 file, and this program was built without HDF5 (apt-get install libhdf5-dev, then build "
      "again)",
      path.string()));
}

}  // namespace

std::string hdf5_version() { return {}; }

std::unique_ptr<ArrayFile> open_hdf5(const std::filesystem::path& path) { refuse(path); }

void save_hdf5(const std::filesystem::path& path, const TensorMap&,
               const std::map<std::string, std::string>&) {
  refuse(path);
}

}  // namespace fovea::nn
