// SPDX-License-Identifier: Apache-2.0
#include "tests/golden.h"

#include <doctest/doctest.h>
#include <fmt/format.h>

#include <filesystem>
#include <fstream>
#include <sstream>

namespace fovea::test {

void check_golden(const std::string& name, const std::string& text) {
  const std::filesystem::path golden =
                                  std::filesystem::path(FOVEA_SOURCE_DIR) / "tests/golden" / (name + ".txt"),
                              folder = std::filesystem::path(FOVEA_BINARY_DIR) / "golden",
                              got = folder / (name + ".txt");
  std::ostringstream expected;
  expected << std::ifstream(golden, std::ios::binary).rdbuf();
  if (expected.str() == text) return;
  std::filesystem::create_directories(folder);
  std::ofstream(got, std::ios::binary) << text;
  std::istringstream a(expected.str()), b(text);
  std::string line_a, line_b;
  for (int line = 1;; ++line) {
    const bool more_a = static_cast<bool>(std::getline(a, line_a)),
               more_b = static_cast<bool>(std::getline(b, line_b));
    if (more_a && more_b && line_a == line_b) continue;
    FAIL(fmt::format("line {} of {}\n  expected: {}\n  got:      {}\nIf it is right: cp {} {}", line,
                     golden.string(), more_a ? line_a : "(no line)", more_b ? line_b : "(no line)",
                     got.string(), golden.string()));
  }
}

std::string replaced(std::string text, const std::string& what, const std::string& by) {
  for (auto at = text.find(what); at != std::string::npos; at = text.find(what, at + by.size()))
    text.replace(at, what.size(), by);
  return text;
}

}  // namespace fovea::test
