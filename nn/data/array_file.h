// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstdint>
#include <filesystem>
#include <map>
#include <memory>
#include <string>

#include "tensor/io.h"

namespace fovea::nn {

/// What a file tells about an array before it is read.
struct ArrayInfo {
  Shape shape;
  std::string type;     ///< as stored: "u8", "i16", "f64", …; a word such as "text" if it is no number
  bool number = false;  ///< whether it can be read
  /// Rows of the leading axis that are stored as one piece: reading fewer of them costs as much.
  std::int64_t piece_rows = 1;
};

/// Named arrays of numbers in a file, a tree by the slashes in their names: safetensors or HDF5.
///
/// Nothing is trusted: no memory is taken for more than the file can hold. Every fault is an IoError of one
/// line that begins with the path.
class ArrayFile {
 public:
  /// Reads what is in the file, but no array. Which kind it is follows from the first bytes, never from the
  /// name.
  static std::unique_ptr<ArrayFile> open(const std::filesystem::path& path);
  virtual ~ArrayFile() = default;

  const std::filesystem::path& path() const { return path_; }
  const std::map<std::string, ArrayInfo>& arrays() const { return arrays_; }
  bool contains(const std::string& name) const { return arrays_.contains(name); }
  /// Texts that stand beside the arrays: metadata of safetensors, attributes of HDF5's root.
  const std::map<std::string, std::string>& metadata() const { return metadata_; }

  /// The array `name`, converted to f32, f64, i64 or u8, in the memory of `host`.
  Tensor read(const std::string& name, DType dtype, const Device& host) const;
  /// Rows first … first+count-1 of its leading axis.
  virtual Tensor read_rows(const std::string& name, DType dtype, std::int64_t first, std::int64_t count,
                           const Device& host) const = 0;

 protected:
  explicit ArrayFile(std::filesystem::path path) : path_(std::move(path)) {}
  std::filesystem::path path_;
  std::map<std::string, ArrayInfo> arrays_;
  std::map<std::string, std::string> metadata_;
};

/// Whether the file begins as HDF5 does, also behind a user block. throws IoError if it cannot be read
bool is_hdf5(const std::filesystem::path& path);

/// Writes the arrays as HDF5 if the name ends in .h5 or .hdf5, else as safetensors. Equal contents give equal
/// bytes. An incomplete file may be left behind if it throws, so write to a temporary name and rename.
void save_arrays(const std::filesystem::path& path, const TensorMap& arrays,
                 const std::map<std::string, std::string>& metadata);

}  // namespace fovea::nn
