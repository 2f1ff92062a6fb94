// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstdint>
#include <memory>
#include <string>
#include <vector>

#include "tensor/file.h"

struct z_stream_s;  // zlib's

namespace fovea {

/// A compressed stream that lies in bytes [begin, end) of a file, unpacked as it is read: it takes 64 KiB
/// however much the stream unpacks to. Every fault of the stream is an IoError of the file.
class Inflater {
 public:
  enum class Format { deflate, gzip };  ///< bare, as in zip files, or with gzip's header and checksum

  /// what: put before each error text, "'x.npy': " or ""
  Inflater(File& file, std::uint64_t begin, std::uint64_t end, Format format, std::string what);
  ~Inflater();
  Inflater(const Inflater&) = delete;
  Inflater& operator=(const Inflater&) = delete;

  /// Up to `bytes` bytes; fewer only where the stream ends.
  std::uint64_t read_some(void* to, std::uint64_t bytes);
  /// All of them. throws IoError if the stream ends before
  void read(void* to, std::uint64_t bytes);

  struct Size {
    std::uint64_t bytes;
    std::uint32_t crc;  ///< CRC-32 of the unpacked bytes
  };
  /// Unpacks the rest of the stream into nothing. throws IoError if it holds more than `most` bytes, or if
  /// it does not end where its part of the file does.
  Size measure(std::uint64_t most);

 private:
  [[noreturn]] void bad(const char* why) const;

  File& file_;
  std::uint64_t at_, end_;
  std::string what_;
  std::vector<unsigned char> block_;
  std::unique_ptr<z_stream_s> stream_;
  bool ended_ = false;
};

/// What a compressed part of a file may unpack to. A few MiB can hold more: a mistake or malice.
constexpr std::uint64_t kMostUnpacked = std::uint64_t{8} << 30;

}  // namespace fovea
