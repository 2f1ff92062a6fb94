// SPDX-License-Identifier: Apache-2.0
#include "apps/data_file.h"

#include <algorithm>

#include "nn/data/idx.h"
#include "tensor/file.h"
#include "tensor/io.h"

namespace fovea::apps {
namespace {

std::string first_bytes(const std::filesystem::path& path) {
  File file = File::open(path);
  std::string bytes(std::min<std::uint64_t>(file.size(), 9), '\0');
  file.read(bytes.data(), bytes.size());
  return bytes;
}

std::map<std::string, nn::ArrayInfo> infos(const TensorMap& tensors) {
  std::map<std::string, nn::ArrayInfo> arrays;
  for (const auto& [name, tensor] : tensors)
    arrays[name] = {.shape = tensor.shape(), .type = dtype_name(tensor.dtype()), .number = true};
  return arrays;
}

}  // namespace

DataFile load_data_file(const std::filesystem::path& path) {
  const Device host = Device::cpu({.threads = 1});
  const std::string start = first_bytes(path);
  const bool hdf5 = nn::is_hdf5(path);
  if (hdf5 || (start.size() == 9 && start[8] == '{')) {  // a JSON object after eight bytes of length
    const std::unique_ptr<nn::ArrayFile> file = nn::ArrayFile::open(path);
    const auto format = file->metadata().find("format");
    const bool checkpoint = format != file->metadata().end() && format->second.starts_with("fovea-run-");
    const bool recording = file->contains("train/stimulus") || file->contains("test/stimulus");
    return {checkpoint  ? "checkpoint"
            : recording ? "recording"
            : hdf5      ? "HDF5"
                        : "safetensors",
            file->arrays(), file->metadata()};
  }
  if (start.starts_with("PK")) return {"npz", infos(load_npz(path, host)), {}};
  if (start.starts_with("\x93NUMPY")) return {"npy", infos({{"data", load_npy(path, host)}}), {}};
  if (start.starts_with("\x1f\x8b") || start.starts_with(std::string_view("\0\0", 2)))
    return {"IDX", infos({{"data", nn::load_idx(path, host)}}), {}};
  throw IoError(fmt::format(
      "{}: is no file that fovea reads, expected HDF5, safetensors, npz, npy or IDX (plain or gzip)",
      path.string()));
}

}  // namespace fovea::apps
