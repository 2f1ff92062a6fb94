// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstddef>
#include <filesystem>
#include <string>
#include <vector>

#include "tensor/tensor.h"
#include "tensor/zip.h"

namespace fovea {

/// Writes an npz file of which the arrays need not be in memory as a whole; io.h's save_npz() is it for those that are.
///
///     writer.begin("rates", DType::f32, {1000, 8});
///     while (…) writer.append(part);  // [n, 8]
///     writer.end();
///
/// An incomplete file is left behind if something fails, so write to a temporary name and rename. All throw IoError.
class NpzWriter {
 public:
  explicit NpzWriter(const std::filesystem::path& path);
  NpzWriter(const NpzWriter&) = delete;
  NpzWriter& operator=(const NpzWriter&) = delete;

  /// An array of which the elements follow in order.
  void begin(const std::string& name, DType dtype, const Shape& shape);
  void append(const Tensor& part);
  /// When append() got as many elements as begin() said.
  void end();

  void add(const std::string& name, const Tensor& tensor);
  /// Nothing can be added after it.
  void finish();

 private:
  std::filesystem::path path_;
  File file_;
  ZipWriter zip_;
  std::vector<std::byte> host_;
};

}  // namespace fovea
