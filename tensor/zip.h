// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "tensor/file.h"

/// The container of npz files: as much of the ZIP format (PKWARE's APPNOTE 6.3, with the 64-bit fields) as
/// NumPy writes, stored or deflated, and no more.
namespace fovea {

struct ZipEntry {
  std::string name;
  std::uint64_t begin, packed_bytes;  ///< where its data lie
  std::uint64_t bytes;                ///< unpacked
  std::uint32_t crc;                  ///< of the unpacked bytes
  bool deflated;
};

/// CRC-32 of bytes that follow others with CRC-32 `crc`; 0 before the first.
std::uint32_t crc_after(std::uint32_t crc, const void* bytes, std::uint64_t count);

/// What the archive holds, by place. Every entry is known to lie within the file, apart from the others, and
/// the names differ; nothing has been unpacked. throws IoError naming the file and what is wrong with it
std::vector<ZipEntry> read_zip_directory(File& file);

/// Writes an archive of stored entries, in the order of the calls. Times are fixed: equal contents give
/// equal bytes.
class ZipWriter {
 public:
  explicit ZipWriter(File& file) : file_(file) {}
  /// The entry's content is the parts one after another.
  void add(const std::string& name, const std::vector<std::string_view>& parts);
  /// The directory; nothing can be added after it.
  void finish();

 private:
  File& file_;
  std::uint64_t position_ = 0, count_ = 0;
  std::string directory_;
};

}  // namespace fovea
