// SPDX-License-Identifier: Apache-2.0
#include "tests/crash/program.h"

#include <fcntl.h>
#include <signal.h>
#include <stdlib.h>
#include <sys/wait.h>
#include <unistd.h>

#include <fstream>
#include <sstream>
#include <stdexcept>
#include <thread>

namespace fovea::test {
namespace fs = std::filesystem;

Program::Program(const std::vector<std::string>& arguments, const std::optional<Fault>& fault)
    : start_(std::chrono::steady_clock::now()) {
  std::string name = (fs::temp_directory_path() / "fovea-err-XXXXXX").string();
  const int err = ::mkstemp(name.data());
  err_ = name;
  pid_ = ::fork();
  if (pid_ < 0 || err < 0) throw std::runtime_error("cannot start a program");
  if (pid_ > 0) {
    ::close(err);
    return;
  }
  ::dup2(::open("/dev/null", O_WRONLY), STDOUT_FILENO);
  ::dup2(err, STDERR_FILENO);
  if (fault) {
    ::setenv("LD_PRELOAD", FOVEA_FAULTS, 1);
    ::setenv("FOVEA_FAULT_ROOT", fault->root.c_str(), 1);
    ::setenv("FOVEA_FAULT_LOG", fault->log.c_str(), 1);
    ::setenv("FOVEA_FAULT_AT", std::to_string(fault->at).c_str(), 1);
    ::setenv("FOVEA_FAULT_ACTION", fault->action.c_str(), 1);
  }
  std::vector<char*> argv{const_cast<char*>("fovea")};
  for (const std::string& argument : arguments) argv.push_back(const_cast<char*>(argument.c_str()));
  argv.push_back(nullptr);
  ::execv(FOVEA_PROGRAM, argv.data());
  ::_exit(126);
}

Program::~Program() {
  if (!status_) {
    signal(SIGKILL);
    ::waitpid(pid_, nullptr, 0);
  }
  std::error_code ignored;
  fs::remove(err_, ignored);
}

void Program::signal(int number) const { ::kill(pid_, number); }

bool Program::running() {
  int status = 0;
  if (!status_ && ::waitpid(pid_, &status, WNOHANG) == pid_) status_ = status;
  return !status_;
}

Exit Program::wait() {
  int status = 0;
  if (!status_ && ::waitpid(pid_, &status, 0) == pid_) status_ = status;
  std::ostringstream text;
  text << std::ifstream(err_).rdbuf();
  return {WIFSIGNALED(*status_) ? 128 + WTERMSIG(*status_) : WEXITSTATUS(*status_), text.str(),
          std::chrono::duration<double>(std::chrono::steady_clock::now() - start_).count()};
}

Exit Program::wait_or_kill(std::chrono::microseconds after) {
  const auto end = start_ + after;
  while (running() && std::chrono::steady_clock::now() < end)
    std::this_thread::sleep_for(std::chrono::microseconds(200));
  if (running()) signal(SIGKILL);
  return wait();
}

Exit run_program(const std::vector<std::string>& arguments, const std::optional<Fault>& fault) {
  return Program(arguments, fault).wait();
}

std::vector<Call> calls_in(const fs::path& log) {
  std::vector<Call> calls;
  std::ifstream in(log);
  for (Call call; in >> call.number >> call.function >> call.path;) calls.push_back(call);
  return calls;
}

}  // namespace fovea::test
