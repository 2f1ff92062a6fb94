// SPDX-License-Identifier: Apache-2.0
/// fovea_planted_bugs NAME: runs a kernel with a planted bug in a child process and checks how the child
/// dies. Exit code 0: caught as expected; 1: missed; 77: this build has no instrument that could see it.
#include <sys/resource.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <string>
#include <vector>

#include "tests/simt/planted_bugs.cuh"

namespace {

using namespace fovea;

#if defined(__SANITIZE_ADDRESS__)
constexpr bool kAddressSanitizer = true;
#else
constexpr bool kAddressSanitizer = false;
#endif

enum class Needs { nothing, address_sanitizer };

struct Bug {
  const char* name;
  Needs needs;
  const char* report;  // what the child must print before it dies; empty: any death will do
  void (*run)(simt::Grid&);
};

void shared_overrun(simt::Grid& grid) {
  float out = 0;
  launch(grid, "shared_overrun", planted::shared_overrun_kernel, 1, 1, 0, 32, &out);
}
void dynamic_overrun(simt::Grid& grid) {
  float out = 0;
  launch(grid, "dynamic_overrun", planted::dynamic_overrun_kernel, 1, 1, 40, 10, &out);
}
void row_overrun(simt::Grid& grid) {
  float out = 0;
  launch(grid, "row_overrun", planted::row_overrun_kernel, 1, 1, 0, 9, &out);
}
void global_overrun(simt::Grid& grid) {
  const std::vector<float> x(40, 1.0f);
  std::vector<float> y(40);
  launch(grid, "global_overrun", planted::global_overrun_kernel, 1, 64, 0, 40, x.data(), y.data());
}
void misaligned_pack(simt::Grid& grid) {
  alignas(16) float x[8] = {}, y[8] = {};
  launch(grid, "misaligned_pack", planted::misaligned_pack_kernel, 1, 1, 0, x + 1, y);
}
void deep_recursion(simt::Grid& grid) {
  int out = 0;
  launch(grid, "deep_recursion", planted::deep_recursion_kernel, 1, 1, 0, 1 << 20, &out);
}

constexpr Bug kBugs[] = {
    {"shared_overrun", Needs::address_sanitizer, "heap-buffer-overflow", shared_overrun},
    {"dynamic_overrun", Needs::address_sanitizer, "heap-buffer-overflow", dynamic_overrun},
    {"global_overrun", Needs::address_sanitizer, "heap-buffer-overflow", global_overrun},
    {"row_overrun", Needs::address_sanitizer, "index 9 out of bounds for type 'float [9]'", row_overrun},
    {"misaligned_pack", Needs::address_sanitizer, "misaligned address", misaligned_pack},
    {"deep_recursion", Needs::nothing, kAddressSanitizer ? "stack-overflow" : "", deep_recursion},
};

/// Runs the bug in a child. returns whether the child died; its output goes to `text`.
bool dies(const Bug& bug, std::string& text) {
  int ends[2];
  if (pipe(ends) != 0) return false;
  const pid_t child = fork();
  if (child < 0) return false;
  if (child == 0) {
    const rlimit no_core{0, 0};
    setrlimit(RLIMIT_CORE, &no_core);
    dup2(ends[1], STDERR_FILENO);
    close(ends[0]);
    simt::Grid grid;
    bug.run(grid);
    _exit(0);
  }
  close(ends[1]);
  char buffer[4096];
  for (ssize_t got = 0; (got = read(ends[0], buffer, sizeof buffer)) > 0;)
    text.append(buffer, static_cast<std::size_t>(got));
  close(ends[0]);
  int status = 0;
  waitpid(child, &status, 0);
  return !(WIFEXITED(status) && WEXITSTATUS(status) == 0);
}

}  // namespace

int main(int argc, char** argv) {
  for (const Bug& bug : kBugs) {
    if (argc != 2 || std::strcmp(argv[1], bug.name) != 0) continue;
    if (bug.needs == Needs::address_sanitizer && !kAddressSanitizer) {
      std::printf("skipped: %s is seen only by a build with -fsanitize=address,undefined\n", bug.name);
      return 77;
    }
    std::string text;
    const bool died = dies(bug, text);
    if (died && text.find(bug.report) != std::string::npos) {
      std::printf("caught: %s\n", bug.name);
      return 0;
    }
    std::printf("missed: %s (child %s, expected '%s')\n%s\n", bug.name, died ? "died" : "survived",
                bug.report, text.c_str());
    return 1;
  }
  std::printf("usage: fovea_planted_bugs NAME, one of:");
  for (const Bug& bug : kBugs) std::printf(" %s", bug.name);
  std::printf("\n");
  return 2;
}
