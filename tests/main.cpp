// SPDX-License-Identifier: Apache-2.0
#define DOCTEST_CONFIG_IMPLEMENT
#include <doctest/doctest.h>

#include <cstdio>
#include <string_view>

#include "tests/op_case.h"

/// doctest's own options and
///   --device=cpu|simt|cuda  the device under test
///   --once                  each sample of an op's row runs once, and those too large for the emulation not at
///                           all: for tools that make kernels a hundred times slower
///   --accesses              no checks, but a report of how the kernels of each op use memory (races build)
/// Exit code 77 means skipped: there is no such device here.
int main(int argc, char** argv) {
  constexpr int kSkipped = 77;
  for (int i = 1; i < argc; ++i) {
    const std::string_view argument = argv[i];
    if (argument.starts_with("--device="))
      fovea::test::set_device_under_test(std::string(argument.substr(9)));
    if (argument == "--once") fovea::test::run_samples_once();
    if (argument == "--accesses") fovea::test::report_accesses_only();
  }
  if (fovea::test::device_under_test() == "cuda") {
    const std::string reason = fovea::Device::cuda_missing_reason();
    if (!reason.empty()) {
      std::printf("skipped: %s\n", reason.c_str());
      return kSkipped;
    }
  }
  doctest::Context context;
  context.applyCommandLine(argc, argv);
  return context.run();
}
