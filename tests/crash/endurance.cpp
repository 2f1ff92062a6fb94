// SPDX-License-Identifier: Apache-2.0
// A long training must not grow: not in memory, not in open files.
#include <doctest/doctest.h>
#include <signal.h>

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
  std::ifstream in("/proc/" + std::to_string(process) + "/status");
  for (std::string line; std::getline(in, line);)
    if (line.starts_with("VmRSS:")) return std::stod(line.substr(6));
  return 0;
}

double median(std::vector<double> values) {
  std::sort(values.begin(), values.end());
  return values.at(values.size() / 2);
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
/// outside: from step 1 000 on, memory may grow by less than 1 %, and no file stays open. A worker of the pool that gets
/// its first work late, on a busy machine, takes its memory then, once; what counts is growth that goes on.
void endure(std::int64_t steps) {
  const Bench bench;
  const fs::path run = bench.run("run");
  constexpr std::int64_t kSettled = 1000;  // by then it has logged, scored and saved
  Program training({"train",    "ln",
                    "--data",   bench.data.string(),
                    "--out",    run.string(),
                    "--steps",  "1000000000",  // it is told when to stop
                    "--device", "cpu",
                    "--set",    "model.history=2",
                    "--set",    "train.batch=2",
                    "--set",    "train.log_every=100",
                    "--set",    "train.eval_every=500",
                    "--set",    "train.checkpoint_every=500"});
  constexpr std::size_t kParts = 8;
  std::vector<double>
      looks[kParts];  // what one look sees depends on whether it is just saving: a median does not
  long fewest = 1000, most_files = 0;
  for (std::int64_t step = 0; step < steps;) {
    REQUIRE_MESSAGE(training.running(), training.wait().err);
    std::this_thread::sleep_for(std::chrono::milliseconds(5));
    step = fs::exists(run / "metrics.jsonl") ? last_step(run) : 0;
    if (step < kSettled) continue;
    const auto part = static_cast<std::size_t>((step - kSettled) * kParts / (steps - kSettled));
    looks[std::min(part, kParts - 1)].push_back(resident_kib(training.pid()));
    const long files = open_files(training.pid());
    fewest = std::min(fewest, files);
    most_files = std::max(most_files, files);
  }
  training.signal(SIGTERM);
  const auto exit = training.wait();
  REQUIRE_MESSAGE(exit.code == 128 + SIGTERM, exit.err);
  std::vector<double> held, growth;
  for (const std::vector<double>& part : looks) {
    REQUIRE(!part.empty());
    held.push_back(median(part));
    if (held.size() > 1) growth.push_back(held.back() - held[held.size() - 2]);
  }
  const double steady = median(growth) * (kParts - 1);
  MESSAGE(std::string("memory ") << held.front() << " KiB, at the end " << held.back() << " KiB, of which "
                                 << steady << " KiB grew steadily; " << fewest << " to " << most_files
                                 << " open files");
  CHECK(held.front() > 1000);
  CHECK(steady < 0.01 * held.front());
  CHECK(most_files - fewest <= 3);  // a checkpoint is being written, or the folder is being looked through
}

}  // namespace

TEST_CASE("endurance: 40 000 steps") { endure(40000); }
TEST_CASE("long endurance: 100 000 steps") { endure(100000); }

}  // namespace fovea::apps
