// SPDX-License-Identifier: Apache-2.0
#include "tensor/file.h"

#include <cerrno>
#include <cstring>

#include "tensor/errors.h"

namespace fovea {

File::File(const std::filesystem::path& path, const char* mode)
    : path_(path), file_(std::fopen(path.c_str(), mode)) {
  if (file_ == nullptr) bad(std::strerror(errno));
}

File File::open(const std::filesystem::path& path) {
  std::error_code error;
  if (std::filesystem::is_directory(path, error))
    throw IoError(fmt::format("{}: is a folder, expected a file", path.string()));
  File file(path, "rb");
  file.size_ = std::filesystem::file_size(path, error);
  if (error) file.bad(error.message());
  return file;
}

File File::create(const std::filesystem::path& path) { return File(path, "wb"); }

void File::read(void* to, std::uint64_t bytes) {
  if (bytes > 0 && std::fread(to, 1, bytes, file_.get()) != bytes)
    bad(std::ferror(file_.get()) != 0 ? std::strerror(errno) : "ends too early");
}

void File::seek(std::uint64_t position) {
  if (std::fseek(file_.get(), static_cast<long>(position), SEEK_SET) != 0) bad(std::strerror(errno));
}

void File::write(const void* from, std::uint64_t bytes) {
  if (bytes > 0 && std::fwrite(from, 1, bytes, file_.get()) != bytes) bad(std::strerror(errno));
}

void File::close() {
  if (std::fclose(file_.release()) != 0) bad(std::strerror(errno));
}

void File::bad(std::string_view why) const { throw IoError(fmt::format("{}: {}", path_.string(), why)); }

}  // namespace fovea
