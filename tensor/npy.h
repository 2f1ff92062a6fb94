// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <functional>
#include <string>

#include "tensor/file.h"
#include "tensor/tensor.h"

namespace fovea {

/// The bytes of one npy file in order, from a file of its own or out of an archive.
struct NpySource {
  const File& file;
  std::string what;    ///< put before each error text, "'x.npy': " or ""
  std::uint64_t size;  ///< in bytes, known to be there
  std::function<void(void* to, std::uint64_t bytes)> read;

  [[noreturn]] void bad(std::string_view why) const { file.bad(what + std::string(why)); }
};

/// The tensor of an npy file; its size is checked before memory for it is asked for. throws IoError
Tensor read_npy(const NpySource& source, const Device& device);

/// What comes before the data of a C-contiguous tensor in an npy file, version 1.
/// throws IoError (path: whom to blame) for bf16, which npy does not know
std::string npy_header(const std::filesystem::path& path, DType dtype, const Shape& shape);

}  // namespace fovea
