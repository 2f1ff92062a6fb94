// SPDX-License-Identifier: Apache-2.0
// A library for LD_PRELOAD: stands between a program and the C library, and lets one chosen call on a file below one
// folder fail, or kills the program just before it. The program under test is the released one; it knows nothing of
// this.
//
//   FOVEA_FAULT_ROOT    the folder; other files are left alone
//   FOVEA_FAULT_LOG     gets a line for each call seen: number, function, path within the folder
//   FOVEA_FAULT_AT      the number of the call that is struck
//   FOVEA_FAULT_ACTION  a number: it fails with this errno ("full disk": a write has written half of it by then)
//                       short: a write writes half, and says so
//                       flip: a read gives back a wrong first byte
//                       kill: the program dies just before it; torn: in the middle of a write
#include <dlfcn.h>
#include <fcntl.h>
#include <signal.h>
#include <sys/file.h>
#include <sys/statvfs.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <atomic>
#include <cerrno>
#include <cstdarg>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <string>

namespace {

enum class Action { none, fail, shorten, flip, kill, tear };

struct Plan {
  std::string root, log;
  long at = 0;
  Action action = Action::none;
  int error = 0;
};

std::string variable(const char* name) {
  const char* value = std::getenv(name);
  return value != nullptr ? value : "";
}

const Plan& plan() {
  static const Plan made = [] {
    Plan p{variable("FOVEA_FAULT_ROOT"), variable("FOVEA_FAULT_LOG"),
           std::atol(variable("FOVEA_FAULT_AT").c_str()), Action::none, 0};
    const std::string action = variable("FOVEA_FAULT_ACTION");
    if (action == "short")
      p.action = Action::shorten;
    else if (action == "flip")
      p.action = Action::flip;
    else if (action == "kill")
      p.action = Action::kill;
    else if (action == "torn")
      p.action = Action::tear;
    else if (!action.empty())
      p.action = Action::fail;
    p.error = std::atoi(action.c_str());
    return p;
  }();
  return made;
}

std::string path_of(int fd) {
  char link[64], target[4096];
  std::snprintf(link, sizeof link, "/proc/self/fd/%d", fd);
  const long length = ::syscall(SYS_readlink, link, target, sizeof target);
  return length > 0 ? std::string(target, static_cast<std::size_t>(length)) : std::string();
}

/// Counts and logs the call if it is of the folder; what is to be done with it.
Action look(const char* function, const std::string& path) {
  static std::atomic<long> calls{0};
  const Plan& p = plan();
  if (p.root.empty() || path.compare(0, p.root.size(), p.root) != 0) return Action::none;
  const long number = ++calls;
  if (!p.log.empty()) {
    const std::string line = std::to_string(number) + " " + function + " " +
                             (path.size() > p.root.size() ? path.substr(p.root.size() + 1) : ".") + "\n";
    const int fd =
        static_cast<int>(::syscall(SYS_openat, AT_FDCWD, p.log.c_str(), O_WRONLY | O_CREAT | O_APPEND, 0666));
    (void)::syscall(SYS_write, fd, line.data(), line.size());
    (void)::syscall(SYS_close, fd);
  }
  if (number != p.at) return Action::none;
  if (p.action == Action::kill) (void)::syscall(SYS_kill, ::getpid(), SIGKILL);
  return p.action;
}

void die() { (void)::syscall(SYS_kill, ::getpid(), SIGKILL); }

/// True if the call is to fail; errno is then set.
bool fails(const char* function, const std::string& path) {
  if (look(function, path) != Action::fail) return false;
  errno = plan().error;
  return true;
}

template <class F>
F real(const char* name) {
  return reinterpret_cast<F>(::dlsym(RTLD_NEXT, name));
}

/// `write_some(count)` writes that many of `count` units. returns what the caller is told, -1 for a failure
template <class F>
ssize_t strike_write(const char* function, const std::string& path, std::size_t count, F&& write_some) {
  switch (look(function, path)) {
    case Action::fail:
      if (plan().error != EINTR) (void)write_some(count / 2);
      errno = plan().error;
      return -1;
    case Action::shorten:
      return write_some(count / 2);
    case Action::tear:
      (void)write_some(count / 2);
      die();
      return -1;
    default:
      return write_some(count);
  }
}

template <class F>
ssize_t strike_read(const std::string& path, void* data, F&& read_it) {
  const Action action = look("read", path);
  if (action == Action::fail) {
    errno = plan().error;
    return -1;
  }
  const ssize_t done = read_it();
  if (action == Action::flip && done > 0) *static_cast<unsigned char*>(data) ^= 1;
  return done;
}

int open_with(const char* name, const char* path, int flags, mode_t mode) {
  if (fails(flags & (O_WRONLY | O_RDWR) ? "open-to-write" : "open-to-read", path)) return -1;
  return real<int (*)(const char*, int, ...)>(name)(path, flags, mode);
}

std::FILE* fopen_with(const char* name, const char* path, const char* mode) {
  if (fails(*mode == 'w' ? "open-to-write" : "open-to-read", path)) return nullptr;
  return real<std::FILE* (*)(const char*, const char*)>(name)(path, mode);
}

mode_t mode_of(int flags, va_list arguments) {
  return flags & O_CREAT ? static_cast<mode_t>(va_arg(arguments, int)) : 0;
}

}  // namespace

extern "C" {

int open(const char* path, int flags, ...) {
  va_list arguments;
  va_start(arguments, flags);
  const mode_t mode = mode_of(flags, arguments);
  va_end(arguments);
  return open_with("open", path, flags, mode);
}

int open64(const char* path, int flags, ...) {
  va_list arguments;
  va_start(arguments, flags);
  const mode_t mode = mode_of(flags, arguments);
  va_end(arguments);
  return open_with("open64", path, flags, mode);
}

std::FILE* fopen(const char* path, const char* mode) { return fopen_with("fopen", path, mode); }
std::FILE* fopen64(const char* path, const char* mode) { return fopen_with("fopen64", path, mode); }

ssize_t write(int fd, const void* data, std::size_t bytes) {
  return strike_write("write", path_of(fd), bytes, [&](std::size_t count) {
    return real<ssize_t (*)(int, const void*, std::size_t)>("write")(fd, data, count);
  });
}

ssize_t pwrite(int fd, const void* data, std::size_t bytes, off_t at) {
  return strike_write("write", path_of(fd), bytes, [&](std::size_t count) {
    return real<ssize_t (*)(int, const void*, std::size_t, off_t)>("pwrite")(fd, data, count, at);
  });
}

std::size_t fwrite(const void* data, std::size_t size, std::size_t count, std::FILE* file) {
  const ssize_t done = strike_write("write", path_of(::fileno(file)), count, [&](std::size_t units) {
    return static_cast<ssize_t>(real<std::size_t (*)(const void*, std::size_t, std::size_t, std::FILE*)>(
        "fwrite")(data, size, units, file));
  });
  if (done >= 0 && static_cast<std::size_t>(done) < count)
    errno = ENOSPC;  // the library writes on until that
  return done < 0 ? count / 2 : static_cast<std::size_t>(done);
}

ssize_t read(int fd, void* data, std::size_t bytes) {
  return strike_read(path_of(fd), data,
                     [&] { return real<ssize_t (*)(int, void*, std::size_t)>("read")(fd, data, bytes); });
}

ssize_t pread(int fd, void* data, std::size_t bytes, off_t at) {
  return strike_read(path_of(fd), data, [&] {
    return real<ssize_t (*)(int, void*, std::size_t, off_t)>("pread")(fd, data, bytes, at);
  });
}

std::size_t fread(void* data, std::size_t size, std::size_t count, std::FILE* file) {
  const ssize_t done = strike_read(path_of(::fileno(file)), data, [&] {
    return static_cast<ssize_t>(
        real<std::size_t (*)(void*, std::size_t, std::size_t, std::FILE*)>("fread")(data, size, count, file));
  });
  if (done < 0) file->_flags |= 0x20;  // what ferror() looks at in the GNU C library
  return done < 0 ? 0 : static_cast<std::size_t>(done);
}

int close(int fd) {
  const bool failing = fails("close", path_of(fd));
  const int error = errno;
  const int result = real<int (*)(int)>("close")(fd);  // a failing close closes all the same
  if (failing) errno = error;
  return failing ? -1 : result;
}

int fclose(std::FILE* file) {
  const bool failing = fails("close", path_of(::fileno(file)));
  const int error = errno;
  const int result = real<int (*)(std::FILE*)>("fclose")(file);
  if (failing) errno = error;
  return failing ? EOF : result;
}

int fsync(int fd) { return fails("fsync", path_of(fd)) ? -1 : real<int (*)(int)>("fsync")(fd); }

int ftruncate(int fd, off_t bytes) {
  return fails("ftruncate", path_of(fd)) ? -1 : real<int (*)(int, off_t)>("ftruncate")(fd, bytes);
}

int flock(int fd, int operation) {
  return fails("flock", path_of(fd)) ? -1 : real<int (*)(int, int)>("flock")(fd, operation);
}

int rename(const char* from, const char* to) {
  return fails("rename", to) ? -1 : real<int (*)(const char*, const char*)>("rename")(from, to);
}

int symlink(const char* content, const char* path) {
  return fails("symlink", path) ? -1 : real<int (*)(const char*, const char*)>("symlink")(content, path);
}

int unlink(const char* path) {
  return fails("unlink", path) ? -1 : real<int (*)(const char*)>("unlink")(path);
}
int remove(const char* path) {
  return fails("remove", path) ? -1 : real<int (*)(const char*)>("remove")(path);
}

int mkdir(const char* path, mode_t mode) {
  return fails("mkdir", path) ? -1 : real<int (*)(const char*, mode_t)>("mkdir")(path, mode);
}

int statvfs(const char* path, struct statvfs* to) noexcept {
  return fails("statvfs", path) ? -1 : real<int (*)(const char*, struct statvfs*)>("statvfs")(path, to);
}

}  // extern "C"
