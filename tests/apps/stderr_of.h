// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <unistd.h>

#include <cstdio>
#include <filesystem>
#include <string>

#include "apps/atomic_file.h"
#include "tests/temporary_folder.h"

namespace fovea::apps {

/// Text on the program's own stderr, which warnings go to.
class StderrOf {
 public:
  template <class F>
  explicit StderrOf(F&& f) {
    const test::TemporaryFolder folder;
    const std::filesystem::path file = folder.path() / "err";
    std::fflush(stderr);
    const int before = ::dup(STDERR_FILENO);
    std::FILE* to = std::fopen(file.c_str(), "w");
    ::dup2(::fileno(to), STDERR_FILENO);
    f();
    std::fflush(stderr);
    ::dup2(before, STDERR_FILENO);
    ::close(before);
    std::fclose(to);
    text = read_file(file);
  }
  std::string text;
};

}  // namespace fovea::apps
