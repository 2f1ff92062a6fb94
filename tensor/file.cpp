// SPDX-License-Identifier: Apache-2.0
#include "tensor/file.h"

#include <algorithm>
#include <cerrno>
#include <cstring>
#include <system_error>

#include "tensor/errors.h"
#include "tensor/names.h"

namespace fovea {

std::string nearest_file(const std::filesystem::path& path) {
  std::vector<std::string> names;
  std::error_code ignored;
  const std::filesystem::path folder = path.has_parent_path() ? path.parent_path() : ".";
  for (const auto& entry : std::filesystem::directory_iterator(folder, ignored))
    names.push_back(entry.path().filename().string());
  std::sort(names.begin(), names.end());  // the order of a folder is the file system's
  const std::optional<std::string> near = nearest_name(path.filename().string(), names);
  return near ? fmt::format("; did you mean '{}'?", (path.parent_path() / *near).string()) : std::string{};
}

File::File(const std::filesystem::path& path, const char* mode)
    : path_(path), file_(std::fopen(path.c_str(), mode)) {
  if (file_ == nullptr) bad(std::strerror(errno));
}

File File::open(const std::filesystem::path& path) {
  std::error_code error;
  const std::filesystem::file_status status = std::filesystem::status(path, error);
  if (std::filesystem::is_directory(status))
    throw IoError(fmt::format("{}: is a folder, expected a file", path.string()));
  if (status.type() == std::filesystem::file_type::not_found)
    throw IoError(fmt::format("{}: there is no such file{}", path.string(), nearest_file(path)));
  // Opening a pipe would wait for somebody to write to it.
  if (!error && !std::filesystem::is_regular_file(status))
    throw IoError(fmt::format("{}: is a pipe or a device, expected a file", path.string()));
  File file(path, "rb");
  file.size_ = std::filesystem::file_size(path, error);
  if (error) file.bad(error.message());  // coverage: it would have to vanish between the two calls
  return file;
}

File File::create(const std::filesystem::path& path) { return File(path, "wb"); }

void File::read(void* to, std::uint64_t bytes) {
  if (bytes > 0 && std::fread(to, 1, bytes, file_.get()) != bytes)
    bad(std::ferror(file_.get()) != 0 ? std::strerror(errno) : "ends too early; the file is cut off");
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
