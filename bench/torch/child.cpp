// SPDX-License-Identifier: Apache-2.0
#include "bench/torch/child.h"

#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#include <array>
#include <cerrno>
#include <cstring>
#include <stdexcept>
#include <system_error>

#include "bench/clock.h"

namespace fovea::bench::torch {
namespace {

constexpr int kMemoryFile = 3;  // in the child

std::vector<char*> pointers(std::vector<std::string>& texts) {
  std::vector<char*> p;
  for (std::string& text : texts) p.push_back(text.data());
  p.push_back(nullptr);
  return p;
}

int checked(int result, const char* what) {
  if (result < 0)
    throw std::system_error(errno, std::generic_category(), what);  // untested: the system refuses
  return result;
}

}  // namespace

Child::Child(const std::vector<std::string>& command, const std::vector<std::string>& environment,
             int timeout_s)
    : timeout_s_(timeout_s) {
  std::vector<std::string> arguments = command, variables = environment;
  for (char** v = environ; *v != nullptr; ++v)
    variables.emplace_back(*v);  // of two of a name the first one counts
  const std::vector<char*> argv = pointers(arguments), envp = pointers(variables);
  std::array<int, 2> ends{};
  checked(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, ends.data()), "socketpair");
  socket_ = ends[0];
  memory_file_ = checked(memfd_create("fovea_bench", MFD_CLOEXEC), "memfd_create");
  const pid_t parent = getpid();
  process_ = checked(fork(), "fork");
  if (process_ == 0) {  // only calls that are safe between fork and exec
    prctl(PR_SET_PDEATHSIG, SIGKILL);
    if (getppid() != parent) _exit(127);
    const int quiet = open("/dev/null", O_WRONLY);
    // First out of the way of 0..3.
    const int socket = fcntl(ends[1], F_DUPFD, 10), memory = fcntl(memory_file_, F_DUPFD, 10);
    if (dup2(socket, 0) < 0 || dup2(socket, 1) < 0 || dup2(quiet, 2) < 0 || dup2(memory, kMemoryFile) < 0)
      _exit(127);
    close(socket);
    close(memory);
    execvpe(argv[0], argv.data(), envp.data());
    _exit(127);
  }
  close(ends[1]);
  try {
    hello_ = answer();
  } catch (...) {
    end();
    throw;
  }
}

Child::~Child() { end(); }

void Child::end() noexcept {
  if (!memory_.empty()) munmap(memory_.data(), memory_.size());
  if (socket_ >= 0) close(socket_);
  if (memory_file_ >= 0) close(memory_file_);
  if (process_ > 0) {
    kill(process_, SIGKILL);
    waitpid(process_, nullptr, 0);
  }
  memory_ = {};
  socket_ = memory_file_ = process_ = -1;
}

nlohmann::json Child::ask(const nlohmann::json& question) {
  const std::string line = question.dump() + "\n";
  for (std::size_t sent = 0; sent < line.size();) {
    const ssize_t n = send(socket_, line.data() + sent, line.size() - sent, MSG_NOSIGNAL);
    if (n <= 0) throw std::runtime_error("the peer's process is gone");
    sent += static_cast<std::size_t>(n);
  }
  nlohmann::json reply = answer();
  if (reply.contains("error")) throw std::runtime_error(reply["error"].get<std::string>());
  return reply;
}

nlohmann::json Child::answer() {
  const double end = seconds_now() + timeout_s_;
  while (true) {
    if (const std::size_t newline = read_.find('\n'); newline != std::string::npos) {
      const nlohmann::json reply = nlohmann::json::parse(read_.substr(0, newline), nullptr, false);
      read_.erase(0, newline + 1);
      if (!reply.is_object()) throw std::runtime_error("the peer's process answers what is no JSON");
      return reply;
    }
    pollfd waiting{socket_, POLLIN, 0};
    const int left_ms = static_cast<int>((end - seconds_now()) * 1e3);
    if (left_ms <= 0 || poll(&waiting, 1, left_ms) == 0)
      throw std::runtime_error("the peer's process does not answer");
    std::array<char, 4096> part{};
    const ssize_t n = recv(socket_, part.data(), part.size(), 0);
    if (n <= 0) throw std::runtime_error("the peer's process is gone");
    read_.append(part.data(), static_cast<std::size_t>(n));
  }
}

std::span<std::byte> Child::memory(std::size_t bytes) {
  if (bytes <= memory_.size()) return memory_;
  if (!memory_.empty()) munmap(memory_.data(), memory_.size());
  memory_ = {};
  checked(ftruncate(memory_file_, static_cast<off_t>(bytes)), "ftruncate");
  void* const mapped = mmap(nullptr, bytes, PROT_READ | PROT_WRITE, MAP_SHARED, memory_file_, 0);
  if (mapped == MAP_FAILED)
    throw std::system_error(errno, std::generic_category(), "mmap");  // untested: the system refuses
  memory_ = {static_cast<std::byte*>(mapped), bytes};
  return memory_;
}

}  // namespace fovea::bench::torch
