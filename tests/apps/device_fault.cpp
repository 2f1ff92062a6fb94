// SPDX-License-Identifier: Apache-2.0
// A kernel fails in the midst of a training: the emulation of one launch is asked for what it refuses.
#include <doctest/doctest.h>

#include <algorithm>
#include <cstdint>

#include "apps/bad_numbers.h"
#include "apps/checkpoint.h"
#include "apps/model_list.h"
#include "kernels/recent_launches.h"
#include "kernels/simt/grid.h"
#include "tests/apps/tiny_training.h"
#include "tests/temporary_folder.h"

using fovea::simt::Grid;
using fovea::simt::Launch;

namespace {
std::int64_t launches_until_fault = 0, launches_made = 0;
}

// The linker puts the second in the place of Grid::run() and calls Grid::run() the first (-Wl,--wrap).
extern "C" {
void __real__ZN5fovea4simt4Grid3runERKNS0_6LaunchEPFvPKvES6_(Grid* grid, const Launch& launch,
                                                             void (*thread)(const void*),
                                                             const void* context);
void __wrap__ZN5fovea4simt4Grid3runERKNS0_6LaunchEPFvPKvES6_(Grid* grid, const Launch& launch,
                                                             void (*thread)(const void*),
                                                             const void* context);
void __wrap__ZN5fovea4simt4Grid3runERKNS0_6LaunchEPFvPKvES6_(Grid* grid, const Launch& launch,
                                                             void (*thread)(const void*),
                                                             const void* context) {
  Launch asked = launch;
  ++launches_made;
  if (launches_until_fault > 0 && --launches_until_fault == 0) asked.block = {2048, 1, 1};
  __real__ZN5fovea4simt4Grid3runERKNS0_6LaunchEPFvPKvES6_(grid, asked, thread, context);
}
}

namespace fovea::apps {

TEST_CASE("a run whose device fails says which kernel, what is kept, and how to go on; and it goes on") {
  const Bench bench;
  const std::vector<std::string> settings{"--steps", "3",     "--device",
                                          "simt",    "--set", "train.checkpoint_every=1"};
  launches_made = 0;
  REQUIRE(bench.train(bench.run("whole"), settings).code == kDone);
  const std::int64_t of_run = launches_made;
  REQUIRE(of_run > 30);

  const std::filesystem::path run = bench.run("run");
  launches_until_fault = of_run / 2;
  const Outcome outcome = bench.train(run, settings);
  REQUIRE(launches_until_fault == 0);
  CAPTURE(outcome.err);
  CHECK(outcome.code == kFailed);
  const std::int64_t kept = find_checkpoint(run, "latest").step;
  const std::string step = std::to_string(kept + 1);
  CHECK(outcome.err.starts_with("fovea train: step " + step + ": the device failed: "));
  CHECK(outcome.err.find(": block (2048, 1, 1) has 2048 threads; 1 to 1024 are allowed") !=
        std::string::npos);
  CHECK(outcome.err.ends_with("\nthe checkpoint of step " + std::to_string(kept) +
                              " is kept; go on from it with: fovea train deep-retina --resume --out " +
                              run.string() + "\n"));
  CHECK(std::count(outcome.err.begin(), outcome.err.end(), '\n') == 2);

  std::vector<std::string> again = settings;
  again.push_back("--resume");
  CHECK(bench.train(run, again).code == kDone);
  const SavedRun ended = read_checkpoint(find_checkpoint(run, "latest").path);
  const SavedRun whole = read_checkpoint(find_checkpoint(bench.run("whole"), "latest").path);
  for (const auto& entry : whole.tensors) {
    CAPTURE(entry.first);
    if (entry.second.dtype() == DType::f32)
      CHECK(ended.tensors.at(entry.first).to_vector<float>() == entry.second.to_vector<float>());
  }
}

TEST_CASE("a run that has no checkpoint yet says so when its device fails") {
  const test::TemporaryFolder folder;
  const RunFolder run = RunFolder::open(folder.path() / "run", false);
  const StoppedRun error = device_failed(DeviceFault("cudaStreamSynchronize: unspecified launch failure"), 1,
                                         default_config(find_model("ln")), run);
  CHECK(std::string(error.what()) ==
        "step 1: the device failed: cudaStreamSynchronize: unspecified launch failure\nno checkpoint was "
        "saved");
}

TEST_CASE("a queue names the last kernels, equal ones in a row once, the newest first") {
  RecentLaunches recent;
  CHECK(recent.empty());
  CHECK(recent.str().empty());
  for (const char* name : {"conv2d", "relu", "relu", "relu"}) recent.add(name);
  CHECK(recent.str() == "relu, conv2d");
  for (const char* name : {"a", "b", "c", "d", "e", "f", "g"}) recent.add(name);
  CHECK(recent.str() == "g, f, e, d, c, b, a, relu, …");
  recent.clear();
  CHECK(recent.empty());
  recent.add("relu");
  CHECK(recent.str() == "relu");
}

}  // namespace fovea::apps
