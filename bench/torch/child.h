// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <sys/types.h>

#include <nlohmann/json.hpp>
#include <span>
#include <string>
#include <vector>

namespace fovea::bench::torch {

/// A process that answers a line of JSON with a line of JSON, and memory that it shares with this one.
class Child {
 public:
  /// command      program and arguments; the shared memory is file descriptor 3 there
  /// environment  "NAME=value", besides what this process has
  /// throws std::runtime_error if it does not start, or says nothing as its first line in time
  Child(const std::vector<std::string>& command, const std::vector<std::string>& environment,
        int timeout_s = 300);
  ~Child();
  Child(const Child&) = delete;
  Child& operator=(const Child&) = delete;

  /// Its first line.
  const nlohmann::json& hello() const { return hello_; }
  /// throws std::runtime_error with its words if it answers {"error": …}, if it is gone, or silent for too long
  nlohmann::json ask(const nlohmann::json& question);
  /// The shared memory, at least so large. Older spans are void.
  std::span<std::byte> memory(std::size_t bytes);

 private:
  nlohmann::json answer();
  void end() noexcept;

  int timeout_s_;
  int socket_ = -1, memory_file_ = -1;
  pid_t process_ = -1;
  std::span<std::byte> memory_;
  std::string read_;  // beyond the last line
  nlohmann::json hello_;
};

}  // namespace fovea::bench::torch
