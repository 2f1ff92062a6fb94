// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <sys/types.h>

#include <chrono>
#include <filesystem>
#include <optional>
#include <string>
#include <vector>

namespace fovea::test {

/// What strikes the program while it works below `root` (tests/crash/faults.cpp).
struct Fault {
  std::filesystem::path root;
  std::filesystem::path log = {};  ///< empty: none
  long at = 0;                     ///< which call; 0: none
  std::string action = {};         ///< "kill", "torn", "short", or an errno
};

struct Exit {
  int code = 0;  ///< or 128 + the signal that ended it
  std::string err;
  double seconds = 0;
};

/// The program `fovea` as a process of its own, its stdout thrown away.
class Program {
 public:
  explicit Program(const std::vector<std::string>& arguments, const std::optional<Fault>& fault = {});
  Program(const Program&) = delete;
  Program& operator=(const Program&) = delete;
  ~Program();  ///< kills it if it still runs

  pid_t pid() const { return pid_; }
  void signal(int number) const;
  bool running();
  /// Waits for its end.
  Exit wait();
  /// The same; ends it by `kill -9` if that takes longer.
  Exit wait_or_kill(std::chrono::microseconds after);

 private:
  pid_t pid_ = -1;
  std::filesystem::path err_;
  std::chrono::steady_clock::time_point start_;
  std::optional<int> status_;
};

Exit run_program(const std::vector<std::string>& arguments, const std::optional<Fault>& fault = {});

/// A call that faults.cpp saw.
struct Call {
  long number;
  std::string function, path;
};
std::vector<Call> calls_in(const std::filesystem::path& log);

}  // namespace fovea::test
