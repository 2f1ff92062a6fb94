// SPDX-License-Identifier: Apache-2.0
// A long training must not grow: not in memory, not in open files.
#include <doctest/doctest.h>
#include <unistd.h>

#include <algorithm>
#include <filesystem>
#include <fstream>
#include <thread>

#include "apps/metrics_log.h"
#include "tests/apps/tiny_training.h"
#include "tests/crash/program.h"

namespace fovea::apps {
namespace fs = std::filesystem;
using test::Program;
namespace {

double resident_kib(pid_t process) {
  std::ifstream in("/proc/" + std::to_string(process) + "/statm");
  double pages = 0, resident = 0;
  in >> pages >> resident;
  return resident * static_cast<double>(::sysconf(_SC_PAGESIZE)) / 1024;
}

long open_files(pid_t process) {
  long count = 0;
  std::error_code gone;
  for (fs::directory_iterator it("/proc/" + std::to_string(process) + "/fd", gone), end; !gone && it != end;
       it.increment(gone))
    ++count;
  return count;
}

std::int64_t last_step(const fs::path& run) {
  const auto rows = MetricsLog::read(run / "metrics.jsonl");
  return rows.empty() ? 0 : rows.back().step;
}

/// Trains a tiny model for so many steps, with logs, scores and checkpoints on the way, and looks at the process from
/// outside: from step 1 000 on, memory may grow by less than 1 %, and no file stays open.
void endure(std::int64_t steps) {
  const Bench bench;
  const fs::path run = bench.run("run");
  constexpr std::int64_t kSettled = 1000;
  Program training({"train",    "ln",
                    "--data",   bench.data.string(),
                    "--out",    run.string(),
                    "--steps",  std::to_string(steps + 1),  // the looks end before the final report begins
                    "--device", "cpu",
                    "--set",    "model.history=2",
                    "--set",    "train.batch=2",
                    "--set",    "train.log_every=100",
                    "--set",    "train.eval_every=500",
                    "--set",    "train.checkpoint_every=500"});
  double settled = 0, most = 0;
  long fewest = 1000, most_files = 0;
  int looks = 0;
  for (std::int64_t step = 0; training.running() && step < steps;) {
    const double now = resident_kib(training.pid());
    const long files = open_files(training.pid());
    step = fs::exists(run / "metrics.jsonl") ? last_step(run) : 0;
    std::this_thread::sleep_for(std::chrono::milliseconds(5));
    if (step < kSettled || step >= steps || now == 0) continue;
    if (settled == 0) settled = now;
    most = std::max(most, now);
    fewest = std::min(fewest, files);
    most_files = std::max(most_files, files);
    ++looks;
  }
  const auto exit = training.wait();
  REQUIRE_MESSAGE(exit.code == 0, exit.err);
  REQUIRE(looks >= 3);
  MESSAGE(std::string("memory ") << settled << " KiB at step 1000, at most " << most << " KiB later; "
                                 << fewest << " to " << most_files << " open files");
  CHECK(most < 1.01 * settled);
  CHECK(most_files - fewest <= 3);  // a checkpoint is being written, or the folder is being looked through
}

}  // namespace

TEST_CASE("endurance: some thousand steps") { endure(6000); }
TEST_CASE("long endurance: 100 000 steps") { endure(100000); }

}  // namespace fovea::apps
