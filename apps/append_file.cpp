// SPDX-License-Identifier: Apache-2.0
#include "apps/append_file.h"

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>

#include "apps/atomic_file.h"

namespace fovea::apps {

AppendFile::AppendFile(std::filesystem::path path, std::uint64_t bytes)
    : path_(std::move(path)), fd_(::open(path_.c_str(), O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC, 0666)) {
  if (fd_ < 0) file_error(path_, "write", errno);
  struct stat status {};
  if (::fstat(fd_, &status) == 0) {  // without its size nothing may be cut
    size_ = std::min(static_cast<std::uint64_t>(status.st_size), bytes);
    if (::ftruncate(fd_, static_cast<off_t>(size_)) == 0) return;
  }
  const int error = errno;
  ::close(fd_);  // no destructor runs for what its constructor did not finish
  file_error(path_, "cut the file", error);
}

AppendFile::~AppendFile() { ::close(fd_); }  // what a checkpoint counts on was synced before it

void AppendFile::append(std::string_view bytes) {
  const ssize_t count = ::write(fd_, bytes.data(), bytes.size());
  if (count < 0) file_error(path_, "write", errno);
  size_ += static_cast<std::uint64_t>(count);
  // The disk is full, and what was written is torn.
  if (static_cast<std::size_t>(count) != bytes.size()) file_error(path_, "write", ENOSPC);
}

void AppendFile::sync() const {
  if (::fsync(fd_) != 0) file_error(path_, "write to the disk", errno);
}

}  // namespace fovea::apps
