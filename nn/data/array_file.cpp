// SPDX-License-Identifier: Apache-2.0
#include "nn/data/array_file.h"

#include <array>
#include <string_view>

#include "nn/data/hdf5.h"
#include "tensor/errors.h"
#include "tensor/file.h"
#include "tensor/views.h"

namespace fovea::nn {
namespace {

/// A safetensors file, which is read as a whole.
class SafetensorsFile final : public ArrayFile {
 public:
  explicit SafetensorsFile(const std::filesystem::path& path)
      : ArrayFile(path), content_(load_safetensors(path, Device::cpu({.threads = 1}))) {
    for (const auto& [name, tensor] : content_.tensors)
      arrays_[name] = {tensor.shape(), dtype_name(tensor.dtype()), true};
    metadata_ = std::move(content_.metadata);
  }
  Tensor read_rows(const std::string& name, DType dtype, std::int64_t first, std::int64_t count,
                   const Device& host) const override {
    const Tensor& tensor = content_.tensors.at(name);
    return (tensor.rank() == 0 ? tensor : slice(tensor, 0, first, first + count)).to(host).to(dtype);
  }

 private:
  Safetensors content_;
};

bool has_hdf5_name(const std::filesystem::path& path) {
  return path.extension() == ".h5" || path.extension() == ".hdf5";
}

}  // namespace

bool is_hdf5(const std::filesystem::path& path) {
  constexpr std::string_view kMark = "\x89HDF\r\n\x1a\n";
  File file = File::open(path);
  std::array<char, kMark.size()> start{};
  for (std::uint64_t at = 0; at + kMark.size() <= file.size() && at <= 4096; at = at == 0 ? 512 : 2 * at) {
    file.seek(at);
    file.read(start.data(), start.size());
    if (std::string_view(start.data(), start.size()) == kMark) return true;
  }
  return false;
}

std::unique_ptr<ArrayFile> ArrayFile::open(const std::filesystem::path& path) {
  if (is_hdf5(path)) return open_hdf5(path);
  if (has_hdf5_name(path))
    throw IoError(
        fmt::format("{}: is not an HDF5 file, whatever its name says: it begins otherwise", path.string()));
  return std::make_unique<SafetensorsFile>(path);
}

Tensor ArrayFile::read(const std::string& name, DType dtype, const Device& host) const {
  const Shape& shape = arrays_.at(name).shape;
  return read_rows(name, dtype, 0, shape.rank() == 0 ? 1 : shape[0], host);
}

void save_arrays(const std::filesystem::path& path, const TensorMap& arrays,
                 const std::map<std::string, std::string>& metadata) {
  if (has_hdf5_name(path))
    save_hdf5(path, arrays, metadata);
  else
    save_safetensors(path, arrays, metadata);
}

}  // namespace fovea::nn
