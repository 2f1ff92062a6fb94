// SPDX-License-Identifier: Apache-2.0
#include "apps/atomic_file.h"

#include <dirent.h>
#include <fcntl.h>
#include <fmt/format.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstdio>
#include <cstring>
#include <memory>
#include <new>
#include <utility>
#include <vector>

#include "tensor/errors.h"

namespace fovea::apps {
namespace fs = std::filesystem;
namespace {

constexpr std::string_view kTemporary = ".tmp-";

class File {
 public:
  /// named: what an error calls the file
  File(const fs::path& path, int flags, std::string_view what, const fs::path& named)
      : fd_(::open(path.c_str(), flags | O_CLOEXEC, 0666)) {
    if (fd_ < 0) file_error(named, what, errno);
  }
  File(const fs::path& path, int flags, std::string_view what) : File(path, flags, what, path) {}
  File(const File&) = delete;
  File& operator=(const File&) = delete;
  ~File() {
    if (fd_ >= 0) ::close(fd_);
  }
  int fd() const { return fd_; }
  /// To the disk. Some network file systems know no fsync of a folder (EINVAL); what was renamed there stands all the
  /// same.
  void sync(const fs::path& named) const {
    if (::fsync(fd_) != 0 && errno != EINVAL) file_error(named, "write to the disk", errno);
  }
  /// For what was written: some file systems say only now that the disk is full.
  void close(const fs::path& path) {
    if (::close(std::exchange(fd_, -1)) != 0) file_error(path, "write", errno);
  }

 private:
  int fd_;
};

/// Beside the target, so that a rename can take it there.
fs::path temporary_path(const fs::path& target) {
  return target.parent_path() / fmt::format("{}{}-{}", kTemporary, ::getpid(), target.filename().string());
}

/// Removes the temporary file unless it was renamed away.
class Temporary {
 public:
  explicit Temporary(const fs::path& target) : path_(temporary_path(target)) {}
  Temporary(const Temporary&) = delete;
  Temporary& operator=(const Temporary&) = delete;
  ~Temporary() { ::unlink(path_.c_str()); }  // fails, rightly, after the rename
  const fs::path& path() const { return path_; }

  void rename_to(const fs::path& target) const {
    // All that can fail for want of memory or handles comes before the rename.
    const fs::path folder = fs::absolute(target).parent_path();
    const File handle(folder, O_RDONLY | O_DIRECTORY, "open the folder");
    if (::rename(path_.c_str(), target.c_str()) != 0) file_error(target, "replace the file", errno);
    handle.sync(folder);
  }

 private:
  fs::path path_;
};

/// Removes the temporary folder, or the former one that took its place.
class TemporaryFolder {
 public:
  explicit TemporaryFolder(const fs::path& target) : path_(temporary_path(target)) {
    std::error_code ignored;
    fs::remove_all(path_, ignored);
    if (::mkdir(path_.c_str(), 0777) != 0) file_error(target, "make the folder", errno);
  }
  TemporaryFolder(const TemporaryFolder&) = delete;
  TemporaryFolder& operator=(const TemporaryFolder&) = delete;
  ~TemporaryFolder() {
    try {
      std::error_code ignored;
      fs::remove_all(path_, ignored);
    } catch (const std::bad_alloc&) {  // remove_temporary_files() finds it later
    }
  }
  const fs::path& path() const { return path_; }

  void rename_to(const fs::path& target) const {
    const fs::path parent = fs::absolute(target).parent_path();
    const File handle(parent, O_RDONLY | O_DIRECTORY, "open the folder");
    // A folder that is not empty cannot be renamed over: the two change places.
    if (fs::exists(target)) {
      if (::renameat2(AT_FDCWD, path_.c_str(), AT_FDCWD, target.c_str(), RENAME_EXCHANGE) != 0)
        file_error(target, "replace the folder", errno);
    } else if (::rename(path_.c_str(), target.c_str()) != 0) {
      file_error(target, "make the folder", errno);
    }
    handle.sync(parent);
  }

 private:
  fs::path path_;
};

/// Gives the whole of a file to `take`, a block at a time, from its beginning.
template <class Take>
void read_blocks(int fd, const fs::path& path, Take&& take) {
  std::vector<char> block(1 << 16);
  off_t at = 0;
  while (true) {
    const ssize_t count = ::pread(fd, block.data(), block.size(), at);
    if (count < 0 && errno == EINTR) continue;
    if (count < 0) file_error(path, "read", errno);
    if (count == 0) return;
    take(std::string_view(block.data(), static_cast<std::size_t>(count)));
    at += count;
  }
}

std::uint64_t checksum(int fd, const fs::path& path) {
  std::uint64_t hash = 14695981039346656037ull;
  read_blocks(fd, path, [&](std::string_view block) {
    for (const char byte : block) hash = (hash ^ static_cast<unsigned char>(byte)) * 1099511628211ull;
  });
  return hash;
}

/// An error of a writer names the file that is meant, not the temporary one.
void write_named(const fs::path& target, const fs::path& temporary,
                 const std::function<void(const fs::path&)>& write) {
  try {
    write(temporary);
  } catch (const IoError& error) {
    const std::string text = error.what();
    if (!text.starts_with(temporary.string())) throw;
    throw IoError(target.string() + text.substr(temporary.string().size()));
  }
}

}  // namespace

void file_error(const fs::path& path, std::string_view what, int error) {
  const char* hint = error == ENOSPC || error == EDQUOT ? "; free some space or choose another folder"
                     : error == EACCES || error == EPERM || error == EROFS
                         ? "; choose a folder you may write to"
                     : error == ENOTDIR || error == ENOENT || error == EISDIR ? "; choose another place"
                                                                              : "";
  throw IoError(fmt::format("{}: cannot {}: {}{}", path.string(), what, std::strerror(error), hint));
}

void replace_file(const fs::path& target, const std::function<void(const fs::path&)>& write) {
  const Temporary temporary(target);
  write_named(target, temporary.path(), write);
  {
    const File file(temporary.path(), O_RDONLY, "read back", target);
    const std::uint64_t written = checksum(file.fd(), target);
    if (::fsync(file.fd()) != 0) file_error(target, "write to the disk", errno);
    // The second reading must come from the disk, not from the cache that the first one filled.
    ::posix_fadvise(file.fd(), 0, 0, POSIX_FADV_DONTNEED);
    if (checksum(file.fd(), target) != written)
      throw IoError(fmt::format("{}: the disk gave back other bytes than were written",
                                target.string()));  // untested: needs a failing disk
  }
  temporary.rename_to(target);
}

void replace_file(const fs::path& target, std::string_view content) {
  replace_file(target, [content](const fs::path& path) {
    File file(path, O_WRONLY | O_CREAT | O_TRUNC, "write");
    std::size_t done = 0;
    while (done < content.size()) {
      const ssize_t count = ::write(file.fd(), content.data() + done, content.size() - done);
      if (count < 0 && errno == EINTR) continue;
      if (count < 0) file_error(path, "write", errno);
      done += static_cast<std::size_t>(count);
    }
    file.close(path);
  });
}

void replace_folder(const fs::path& target, const std::function<void(const fs::path&)>& write) {
  const TemporaryFolder temporary(target);
  write_named(target, temporary.path(), write);
  for (const std::string& name : names_in(temporary.path()))
    File(temporary.path() / name, O_RDONLY, "open", target).sync(target);
  File(temporary.path(), O_RDONLY | O_DIRECTORY, "open", target).sync(target);
  temporary.rename_to(target);
}

void replace_link(const fs::path& link, const fs::path& content) {
  const Temporary temporary(link);
  ::unlink(temporary.path().c_str());
  if (::symlink(content.c_str(), temporary.path().c_str()) != 0) file_error(link, "make the link", errno);
  temporary.rename_to(link);
}

bool is_temporary_file(std::string_view name) { return name.starts_with(kTemporary); }

void remove_temporary_files(const fs::path& folder) {
  std::error_code ignored;
  for (const std::string& name : names_in(folder))
    if (is_temporary_file(name)) fs::remove_all(folder / name, ignored);
}

std::vector<std::string> names_in(const fs::path& folder) {
  const auto close = [](DIR* open) { (void)::closedir(open); };
  const std::unique_ptr<DIR, decltype(close)> entries(::opendir(folder.c_str()), close);
  std::vector<std::string> names;
  while (const dirent* entry = entries != nullptr ? ::readdir(entries.get()) : nullptr)
    if (const std::string name = entry->d_name; name != "." && name != "..") names.push_back(name);
  std::sort(names.begin(), names.end());
  return names;
}

std::string read_file(const fs::path& path) {
  if (std::error_code ignored; fs::is_directory(path, ignored)) file_error(path, "read", EISDIR);
  const File file(path, O_RDONLY, "read");
  std::string text;
  read_blocks(file.fd(), path, [&](std::string_view block) { text += block; });
  return text;
}

std::uint64_t file_checksum(const fs::path& path) {
  const File file(path, O_RDONLY, "read");
  return checksum(file.fd(), path);
}

void make_folder(const fs::path& folder) {
  std::error_code error;
  fs::create_directories(folder, error);
  if (error) file_error(folder, "make the folder", error.value());
}

}  // namespace fovea::apps
