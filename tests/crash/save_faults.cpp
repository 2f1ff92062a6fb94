// SPDX-License-Identifier: Apache-2.0
// Each call of the save path fails in turn: the checkpoint before stays, and the program says what and why.
#include <doctest/doctest.h>

#include <algorithm>
#include <cerrno>
#include <cstring>
#include <set>

#include "apps/atomic_file.h"
#include "apps/checkpoint.h"
#include "tensor/errors.h"
#include "tests/apps/tiny_training.h"
#include "tests/crash/program.h"

namespace fovea::apps {
namespace fs = std::filesystem;
using test::Call;
using test::Exit;
using test::Fault;
namespace {

std::vector<std::string> training(const Bench& bench, const fs::path& out) {
  return {"train",    "ln",
          "--data",   bench.data.string(),
          "--out",    out.string(),
          "--steps",  "2",
          "--device", "cpu",
          "--set",    "model.history=4",
          "--set",    "train.checkpoint_every=1",
          "--set",    "train.batch=4",
          "--set",    "train.log_every=1",
          "--set",    "train.eval_every=1"};
}

const std::string kInterrupted = std::to_string(EINTR), kNotKnown = std::to_string(EINVAL);

/// What may fail and nobody minds: tidying up, a look at the free space, closing what was only read.
bool harmless(const std::vector<Call>& calls, const Call& call) {
  if (call.function == "close" && call.path == "lock") return true;  // the process ends here
  if (call.function == "close") {
    auto before = calls.begin() + call.number - 1;
    while (before != calls.begin() && (before - 1)->path != call.path) --before;
    return before == calls.begin() || (before - 1)->function != "write";
  }
  for (const char* function : {"statvfs", "unlink", "remove", "mkdir"})
    if (call.function == function) return true;
  return false;
}

std::string kind_of(const Call& call) {
  std::string kind = call.function + " " + call.path;
  if (const auto at = kind.find(".tmp-"); at != std::string::npos)
    kind.erase(at, kind.find('-', at + 5) + 1 - at);
  return kind;
}

/// The program's one line about a failed call: the path, without the temporary name, and the reason.
void check_error(const Exit& exit, const fs::path& run, const std::string& reason) {
  CHECK(exit.code == 1);
  const auto at = exit.err.rfind("fovea train: ");
  REQUIRE(at != std::string::npos);
  const std::string line = exit.err.substr(at);
  CAPTURE(line);
  CHECK(std::count(line.begin(), line.end(), '\n') == 1);
  CHECK(line.find(run.string()) != std::string::npos);
  CHECK(line.find(".tmp-") == std::string::npos);
  CHECK(line.find(reason) != std::string::npos);
}

void strike(const Bench& bench, const std::vector<Call>& calls, const Call& call, const std::string& action,
            const fs::path& whole) {
  const fs::path run = bench.run("run");
  fs::remove_all(run);
  const std::string point = action + " at " + std::to_string(call.number) + ": " + kind_of(call);
  CAPTURE(point);
  const Exit exit = test::run_program(training(bench, run), Fault{run, {}, call.number, action});
  CAPTURE(exit.err);
  if (exit.code == 0) {
    // A short or interrupted call is done again; some file systems know no fsync of a folder; at the end of a file
    // there is nothing to flip.
    CHECK((harmless(calls, call) || action == "short" || action == "flip" || action == kInterrupted ||
           action == kNotKnown));
  } else if (action == "flip") {
    check_error(exit, run, "");
  } else {
    check_error(exit, run, action == "short" ? "No space left" : std::strerror(std::stoi(action)));
  }
  const bool began = fs::exists(run / "checkpoints") && !checkpoints_of(run).empty();
  if (!began) {
    CHECK_FALSE(fs::exists(run / "config.toml"));  // no trace, so that the same command can be given again
  } else {
    for (const Checkpoint& checkpoint : checkpoints_of(run))
      CHECK_NOTHROW((void)read_checkpoint(checkpoint.path));
    CHECK_NOTHROW((void)find_checkpoint(run, "latest"));
  }
  std::vector<std::string> again = training(bench, run);
  if (began) again.push_back("--resume");
  const Exit resumed = test::run_program(again);
  REQUIRE_MESSAGE(resumed.code == 0, resumed.err);
  const std::string last = "checkpoints/" + checkpoint_name(2);
  CHECK(read_file(run / last) == read_file(whole / last));
  CHECK(read_file(run / "metrics.jsonl") == read_file(whole / "metrics.jsonl"));
}

/// Strikes each call below the run folder, or each kind of call once.
void strike_all(bool every_call, const std::vector<std::string>& errors) {
  const Bench bench;
  const fs::path whole = bench.run("whole"), log = bench.run("log");
  const Exit unbroken = test::run_program(training(bench, whole), Fault{whole, log});
  REQUIRE_MESSAGE(unbroken.code == 0, unbroken.err);
  std::set<std::string> seen, functions;
  std::size_t struck = 0;
  const std::vector<Call> calls = test::calls_in(log);
  for (const Call& call : calls) {
    functions.insert(call.function);
    if (!seen.insert(kind_of(call)).second && !every_call) continue;
    std::vector<std::string> actions = errors;
    if (!every_call) actions = {errors[struck % errors.size()]};
    if (call.function == "write") actions.push_back("short");
    if (call.function == "read") actions.push_back("flip");
    const bool plain =
        call.path.ends_with(".toml") || call.path.ends_with(".json");  // without stdio in between
    if (plain && (call.function == "write" || call.function == "read")) actions.push_back(kInterrupted);
    if (call.function == "fsync" && (call.path == "." || call.path == "checkpoints"))
      actions.push_back(kNotKnown);
    for (const std::string& action : actions) {
      strike(bench, calls, call, action, whole);
      ++struck;
    }
  }
  for (const char* function : {"open-to-read", "open-to-write", "write", "read", "close", "fsync", "rename",
                               "symlink", "unlink", "remove", "flock", "ftruncate", "statvfs", "mkdir"})
    CHECK_MESSAGE((functions.contains(function) || std::string(function) == "ftruncate"), function);
  MESSAGE(std::string("struck ") << struck << " times");
}

}  // namespace

TEST_CASE("faults: each kind of call fails once") {
  strike_all(false, {std::to_string(ENOSPC), std::to_string(EIO)});
}
TEST_CASE("long faults: each call fails, for want of space, of permission, and of a disk") {
  strike_all(true, {std::to_string(ENOSPC), std::to_string(EACCES), std::to_string(EIO)});
}

}  // namespace fovea::apps
