// SPDX-License-Identifier: Apache-2.0
#include "nn/data/child_process.h"

#include <fcntl.h>
#include <fmt/format.h>
#include <signal.h>
#include <spawn.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cerrno>
#include <cstdlib>
#include <cstring>
#include <sstream>

#include "tensor/errors.h"

namespace fovea::nn {
namespace {

constexpr int kPipeBytes = 1 << 20;  // some frames; by default a pipe holds a fifth of one

int wait_for(pid_t pid) {
  int status = 0;
  while (::waitpid(pid, &status, 0) < 0 && errno == EINTR) {
  }
  return status;
}

}  // namespace

bool ChildProcess::installed(const std::string& program) {
  const char* path = std::getenv("PATH");
  std::istringstream folders(path == nullptr ? "" : path);
  for (std::string folder; std::getline(folders, folder, ':');)
    if (::access(((folder.empty() ? "." : folder) + "/" + program).c_str(), X_OK) == 0) return true;
  return false;
}

ChildProcess::ChildProcess(const std::vector<std::string>& command) {
  const auto fail = [&](int error) {
    throw IoError(fmt::format("{}: cannot be started: {}", command[0], std::strerror(error)));
  };
  int ends[2];
  if (::pipe2(ends, O_CLOEXEC) != 0) fail(errno);
  output_.reset(::fdopen(ends[0], "rb"));
  const int written = ends[1];
  // In memory, so that a long complaint does not wait for a reader.
  const int complaint = ::memfd_create("stderr", MFD_CLOEXEC);
  if (complaint >= 0) complaint_.reset(::fdopen(complaint, "rb"));
  if (!output_ || !complaint_) {
    const int error = errno;
    ::close(written);
    fail(error);
  }
  (void)::fcntl(ends[0], F_SETPIPE_SZ, kPipeBytes);  // slower if refused

  std::vector<char*> arguments;
  for (const std::string& word : command) arguments.push_back(const_cast<char*>(word.c_str()));
  arguments.push_back(nullptr);
  posix_spawn_file_actions_t files;
  posix_spawn_file_actions_init(&files);
  posix_spawn_file_actions_addopen(&files, STDIN_FILENO, "/dev/null", O_RDONLY, 0);
  posix_spawn_file_actions_adddup2(&files, written, STDOUT_FILENO);
  posix_spawn_file_actions_adddup2(&files, complaint, STDERR_FILENO);
  posix_spawnattr_t how;
  posix_spawnattr_init(&how);
  // A group of its own: Ctrl-C is for us, who may want to finish what we have begun.
  posix_spawnattr_setflags(&how, POSIX_SPAWN_SETPGROUP);
  posix_spawnattr_setpgroup(&how, 0);
  const int error = ::posix_spawnp(&pid_, arguments[0], &files, &how, arguments.data(), environ);
  posix_spawnattr_destroy(&how);
  posix_spawn_file_actions_destroy(&files);
  ::close(written);
  if (error != 0) {
    pid_ = -1;
    fail(error);
  }
}

ChildProcess::~ChildProcess() {
  if (pid_ < 0) return;
  ::kill(pid_, SIGKILL);
  wait_for(pid_);
}

std::size_t ChildProcess::read(void* to, std::size_t bytes) {
  return std::fread(to, 1, bytes, output_.get());
}

std::string ChildProcess::read_all() {
  std::string all;
  char part[4096];
  for (std::size_t count; (count = read(part, sizeof part)) > 0;) all.append(part, count);
  return all;
}

std::string ChildProcess::finish() {
  output_.reset();
  const int status = wait_for(pid_);
  pid_ = -1;
  if (WIFEXITED(status) && WEXITSTATUS(status) == 0) return {};
  std::string line;
  std::rewind(complaint_.get());
  for (int c; (c = std::fgetc(complaint_.get())) != EOF && (c != '\n' || line.empty());)
    if (c != '\n') line += static_cast<char>(c);
  if (WIFSIGNALED(status)) return fmt::format("it was ended by signal {}", WTERMSIG(status));
  return line.empty() ? fmt::format("it ended with code {}", WEXITSTATUS(status)) : line;
}

}  // namespace fovea::nn
