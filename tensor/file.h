// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstdint>
#include <cstdio>
#include <filesystem>
#include <memory>
#include <string>
#include <string_view>

namespace fovea {

/// "; did you mean 'runs/a.npz'?": the file of the most similar name in the folder of `path`; "" if none is.
std::string nearest_file(const std::filesystem::path& path);

/// A file that is read or written in order; every failure is an IoError with the path and the system's
/// reason.
class File {
 public:
  /// Only an ordinary file can be opened: not a folder, a pipe or a device. A missing one gives the nearest
  /// name in its folder.
  static File open(const std::filesystem::path& path);
  static File create(const std::filesystem::path& path);

  /// Bytes of a file opened for reading.
  std::uint64_t size() const { return size_; }
  void read(void* to, std::uint64_t bytes);
  void seek(std::uint64_t position);
  void write(const void* from, std::uint64_t bytes);
  void write(std::string_view text) { write(text.data(), text.size()); }
  /// Flushes and closes; buffered data may fail to reach the disk only here.
  void close();

  [[noreturn]] void bad(std::string_view why) const;

 private:
  File(const std::filesystem::path& path, const char* mode);
  struct Closer {
    void operator()(std::FILE* file) const { (void)std::fclose(file); }
  };

  std::filesystem::path path_;
  std::unique_ptr<std::FILE, Closer> file_;
  std::uint64_t size_ = 0;
};

}  // namespace fovea
