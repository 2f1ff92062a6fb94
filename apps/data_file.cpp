// SPDX-License-Identifier: Apache-2.0
#include "apps/data_file.h"

#include <algorithm>

#include "nn/data/idx.h"
#include "tensor/file.h"

namespace fovea::apps {
namespace {

std::string first_bytes(const std::filesystem::path& path) {
  File file = File::open(path);
  std::string bytes(std::min<std::uint64_t>(file.size(), 9), '\0');
  file.read(bytes.data(), bytes.size());
  return bytes;
}

}  // namespace

DataFile load_data_file(const std::filesystem::path& path) {
  const Device host = Device::cpu({.threads = 1});
  const std::string start = first_bytes(path);
  if (start.size() == 9 && start[8] == '{') {  // a JSON object after eight bytes of length
    Safetensors file = load_safetensors(path, host);
    const auto format = file.metadata.find("format");
    const bool checkpoint = format != file.metadata.end() && format->second.starts_with("fovea-run-");
    const bool recording = file.tensors.contains("train/stimulus") || file.tensors.contains("test/stimulus");
    return {checkpoint  ? "checkpoint"
            : recording ? "recording"
                        : "safetensors",
            std::move(file.tensors), std::move(file.metadata)};
  }
  if (start.starts_with("PK")) return {"npz", load_npz(path, host), {}};
  if (start.starts_with("\x93NUMPY")) return {"npy", {{"data", load_npy(path, host)}}, {}};
  if (start.starts_with("\x1f\x8b") || start.starts_with(std::string_view("\0\0", 2)))
    return {"IDX", {{"data", nn::load_idx(path, host)}}, {}};
  throw IoError(
      fmt::format("{}: is no file that fovea reads, expected safetensors, npz, npy or IDX (plain or gzip)",
                  path.string()));
}

}  // namespace fovea::apps
