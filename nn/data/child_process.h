// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <sys/types.h>

#include <cstdint>
#include <cstdio>
#include <memory>
#include <string>
#include <vector>

namespace fovea::nn {

/// A program that runs beside ours and whose output is read while it works. No shell is involved. It gets no input,
/// and no Ctrl-C either: whoever started it ends it, at the latest when this object goes.
class ChildProcess {
 public:
  /// command  the program, which PATH finds, and its arguments
  /// throws   IoError "ffmpeg: cannot be started: …"; installed() tells a missing one beforehand
  explicit ChildProcess(const std::vector<std::string>& command);
  ~ChildProcess();
  ChildProcess(const ChildProcess&) = delete;
  ChildProcess& operator=(const ChildProcess&) = delete;

  /// Whether PATH leads to such a program.
  static bool installed(const std::string& program);

  /// What it writes to its standard output; fewer bytes than asked for only at the end.
  std::size_t read(void* to, std::size_t bytes);
  /// The rest of it.
  std::string read_all();
  /// Waits for its end, after the last read(). returns "" if it was content, else the first line of its complaint,
  /// or how it ended
  std::string finish();

 private:
  struct Closer {
    void operator()(std::FILE* file) const { (void)std::fclose(file); }
  };
  using Stream = std::unique_ptr<std::FILE, Closer>;

  pid_t pid_ = -1;
  Stream output_, complaint_;
};

}  // namespace fovea::nn
