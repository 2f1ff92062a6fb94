// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstdint>
#include <filesystem>
#include <string_view>

namespace fovea::apps {

/// A file that only grows, except when a resumed run cuts off what came after its checkpoint. Each append is one
/// write, so that a reader following the file and a crash see whole pieces, but perhaps a torn last one.
/// All functions throw IoError naming path and cause.
class AppendFile {
 public:
  /// Makes the file if there is none, and cuts it to its first `bytes` (or leaves it if it is shorter).
  AppendFile(std::filesystem::path path, std::uint64_t bytes);
  ~AppendFile();
  AppendFile(const AppendFile&) = delete;
  AppendFile& operator=(const AppendFile&) = delete;

  void append(std::string_view bytes);
  /// Waits until all of it is on the disk.
  void sync() const;
  std::uint64_t size() const { return size_; }

 private:
  std::filesystem::path path_;
  int fd_ = -1;
  std::uint64_t size_ = 0;
};

}  // namespace fovea::apps
