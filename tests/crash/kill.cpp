// SPDX-License-Identifier: Apache-2.0
// kill -9 at any moment: a resumed run ends with the bits of one that was never stopped.
#include <doctest/doctest.h>
#include <signal.h>

#include <cstring>
#include <random>
#include <set>
#include <thread>

#include "apps/atomic_file.h"
#include "apps/checkpoint.h"
#include "tests/apps/tiny_training.h"
#include "tests/crash/program.h"

namespace fovea::apps {
namespace fs = std::filesystem;
using test::Exit;
using test::Fault;
using test::Program;
namespace {

constexpr int kKilled = 128 + SIGKILL;

/// A training of so many steps that saves, logs and scores often.
std::vector<std::string> training(const Bench& bench, const fs::path& out, int steps, bool resume) {
  std::vector<std::string> arguments{"train",    "deep-retina",
                                     "--data",   bench.data.string(),
                                     "--out",    out.string(),
                                     "--steps",  std::to_string(steps),
                                     "--device", "cpu",
                                     "--set",    "model.history=4",
                                     "--set",    "model.channels=[2,2]",
                                     "--set",    "model.kernels=[21,15]",
                                     "--set",    "train.batch=4",
                                     "--set",    "train.log_every=1",
                                     "--set",    "train.checkpoint_every=" + std::to_string(steps / 4),
                                     "--set",    "train.eval_every=" + std::to_string(steps / 2)};
  if (resume) arguments.push_back("--resume");
  return arguments;
}

fs::path last_checkpoint(const fs::path& run, int steps) {
  return run / "checkpoints" / checkpoint_name(steps);
}

/// Goes on with what a kill left: with --resume, unless not even the lock was there yet.
std::vector<std::string> going_on(const Bench& bench, const fs::path& out, int steps) {
  return training(bench, out, steps, fs::exists(out / "lock"));
}

/// The event file without its times: they come first in an event, eight bytes.
std::string events_of(const fs::path& run) {
  std::string text = read_file(run / "events.out.tfevents.fovea"), kept;
  for (std::size_t at = 0; at + 12 <= text.size();) {
    std::uint64_t length = 0;
    std::memcpy(&length, text.data() + at, sizeof length);
    kept += text.substr(at + 12 + 9, length - 9);
    at += 12 + length + 4;
  }
  return kept;
}

void check_equal(const fs::path& run, const fs::path& whole, int steps) {
  CHECK(read_file(last_checkpoint(run, steps)) == read_file(last_checkpoint(whole, steps)));
  CHECK(read_file(run / "metrics.jsonl") == read_file(whole / "metrics.jsonl"));
  CHECK(events_of(run) == events_of(whole));
  CHECK(read_file(run / "checkpoints/best") == read_file(whole / "checkpoints/best"));
  CHECK(fs::exists(run / "summary.json"));
  CHECK(fs::exists(run / "report.html"));
  for (const auto& entry : fs::recursive_directory_iterator(run))
    CHECK_FALSE(entry.path().filename().string().starts_with(".tmp-"));
}

/// Kills one training at so many moments drawn by the seed, one sitting after the other, then lets it end.
void random_kills(int kills, std::uint32_t seed) {
  const Bench bench;
  constexpr int kSteps = 1200;
  const fs::path whole = bench.run("whole"), run = bench.run("run");
  const Exit unbroken = test::run_program(training(bench, whole, kSteps, false));
  REQUIRE_MESSAGE(unbroken.code == 0, unbroken.err);
  std::mt19937 engine(seed);
  int killed = 0;
  for (int i = 0; i < kills; ++i) {
    const double share = static_cast<double>(engine()) / 4294967296.0;
    Program sitting(going_on(bench, run, kSteps));
    // Within a fifth of the whole time, so that the training outlives its kills.
    const Exit exit = sitting.wait_or_kill(
        std::chrono::microseconds(static_cast<std::int64_t>(0.2e6 * share * unbroken.seconds)));
    if (exit.code == kKilled) ++killed;
    REQUIRE_MESSAGE((exit.code == kKilled || exit.code == 0), exit.err);
  }
  CHECK(killed > kills / 2);
  const Exit last = test::run_program(going_on(bench, run, kSteps));
  REQUIRE_MESSAGE(last.code == 0, last.err);
  check_equal(run, whole, kSteps);
  MESSAGE(std::string("killed at ") << killed << " random moments");
}

/// Kills a training of four steps at each of its calls below the run folder, or once at each kind of call, resumes,
/// and compares.
void kills_at_calls(bool every_call) {
  const Bench bench;
  constexpr int kSteps = 4;
  const fs::path whole = bench.run("whole"), log = bench.run("log"), run = bench.run("run");
  const Exit unbroken = test::run_program(training(bench, whole, kSteps, false), Fault{whole, log});
  REQUIRE_MESSAGE(unbroken.code == 0, unbroken.err);
  std::set<std::string> seen;
  int points = 0;
  for (const test::Call& call : test::calls_in(log)) {
    // Where a temporary file has the number of its process, the kind of call has none.
    std::string kind = call.function + " " + call.path;
    if (const auto at = kind.find(".tmp-"); at != std::string::npos)
      kind.erase(at, kind.find('-', at + 5) - at);
    if (!seen.insert(kind).second && !every_call) continue;
    if (!every_call && (call.function.ends_with("read") || call.path.find("step-1") != std::string::npos))
      continue;
    for (const char* action : {"kill", "torn"}) {
      if (std::string(action) == "torn" && call.function != "write") continue;
      const std::string point = std::string(action) + " at " + std::to_string(call.number) + ": " + kind;
      CAPTURE(point);
      fs::remove_all(run);
      const Exit killed =
          test::run_program(training(bench, run, kSteps, false), Fault{run, {}, call.number, action});
      REQUIRE_MESSAGE(killed.code == kKilled, killed.err);
      const Exit resumed = test::run_program(going_on(bench, run, kSteps));
      REQUIRE_MESSAGE(resumed.code == 0, resumed.err);
      check_equal(run, whole, kSteps);
      ++points;
    }
  }
  CHECK(points > 30);
  MESSAGE(std::string("killed at ") << points << " points");
}

}  // namespace

TEST_CASE("kill: ten random moments") { random_kills(10, 1); }
TEST_CASE("kill: every kind of call") { kills_at_calls(false); }

TEST_CASE("long kill: sixty random moments") {
  for (std::uint32_t seed = 2; seed < 8; ++seed) random_kills(10, seed);
}
TEST_CASE("long kill: every call") { kills_at_calls(true); }

TEST_CASE("kill: SIGTERM finishes the step, saves, and exits with 143") {
  const Bench bench;
  constexpr int kSteps = 4000;
  const fs::path run = bench.run("run");
  Program training_process(training(bench, run, kSteps, false));
  while (!fs::exists(last_checkpoint(run, 0)) && training_process.running())
    std::this_thread::sleep_for(std::chrono::milliseconds(2));
  training_process.signal(SIGTERM);
  const Exit exit = training_process.wait();
  CHECK(exit.code == 143);
  CHECK(exit.err.find("go on with: fovea train deep-retina --resume --out " + run.string()) !=
        std::string::npos);
  CHECK(read_file(run / "summary.json").find("\"ended_by\": \"SIGTERM\"") != std::string::npos);
  CHECK_NOTHROW((void)read_checkpoint(find_checkpoint(run, "latest").path));
  CHECK_NOTHROW((void)read_checkpoint(find_checkpoint(run, "best").path));
}

}  // namespace fovea::apps
