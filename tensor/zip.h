// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstdint>
#include <string>
#include <string_view>
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
  /// The entry's content is what write() gets between begin() and end(): `bytes` in all.
  void begin(const std::string& name, std::uint64_t bytes);
  void write(std::string_view part);
  void end();
  /// The directory; nothing can be added after it.
  void finish();

 private:
  std::string common_header() const;
  std::string local_header() const;

  File& file_;
  std::uint64_t position_ = 0, count_ = 0;
  std::string directory_;
  // Of the entry that is being written.
  std::string name_;
  std::uint64_t begin_ = 0, bytes_ = 0;
  std::uint32_t crc_ = 0;
};

}  // namespace fovea
