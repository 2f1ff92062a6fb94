// SPDX-License-Identifier: Apache-2.0
#include "apps/run_folder.h"

#include <doctest/doctest.h>
#include <signal.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <fstream>
#include <nlohmann/json.hpp>

#include "apps/atomic_file.h"
#include "apps/exit_code.h"
#include "tests/apps/small_files.h"
#include "tests/temporary_folder.h"

namespace fovea::apps {
using test::has;
using test::TemporaryFolder;
using test::text_of;
namespace fs = std::filesystem;
namespace {

using Names = std::vector<std::string>;

void save(RunFolder& run, std::int64_t step, bool best = false) {
  run.save_checkpoint(
      step, [step](const fs::path& path) { std::ofstream(path) << "weights of step " << step; }, best);
}

RunFolder new_run(const fs::path& path) {
  RunFolder run = RunFolder::open(path, false);
  (void)run.open_logs(0, {});
  return run;
}

/// A reader of what save() writes.
void accept(const Checkpoint& checkpoint) {
  if (!read_file(checkpoint.path).starts_with("weights"))
    throw IoError(checkpoint.path.string() + ": is damaged");
}

}  // namespace

TEST_CASE("checkpoints: links, prune, and finding them again") {
  const TemporaryFolder folder;
  const fs::path path = folder.path() / "run";
  {
    RunFolder run = new_run(path);
    save(run, 10);
    save(run, 20, true);
    save(run, 30);
    save(run, 40);
    save(run, 50);
    CHECK(names_in(path / "checkpoints") ==
          Names{"best", "latest", "step-20.safetensors", "step-40.safetensors", "step-50.safetensors"});
    CHECK(read_file(path / "checkpoints/best") == "weights of step 20");
    CHECK(read_file(path / "checkpoints/latest") == "weights of step 50");
  }
  CHECK(find_checkpoint(path, "latest").step == 50);
  CHECK(find_checkpoint(path, "best").step == 20);
  CHECK(find_checkpoint(path, "40").path == path / "checkpoints/step-40.safetensors");
  CHECK(text_of<IoError>([&] { (void)find_checkpoint(path, "30"); }) ==
        path.string() + ": has no checkpoint '30' (there are steps 20, 40, 50)");
  CHECK(has(text_of<IoError>([&] { (void)find_checkpoint(folder.path() / "none", "best"); }),
            "there is no such run folder"));
  CHECK(
      has(text_of<IoError>([&] { (void)find_checkpoint(folder.path(), "best"); }), "has no checkpoint yet"));
  fs::remove(path / "checkpoints/best");
  fs::create_symlink("step-x.safetensors", path / "checkpoints/best");
  CHECK(has(text_of<IoError>([&] { (void)find_checkpoint(path, "best"); }), "has no checkpoint 'best'"));
}

TEST_CASE("without a best one the last two are kept") {
  const TemporaryFolder folder;
  RunFolder run = new_run(folder.path() / "run");
  for (const std::int64_t step : {10, 20, 30}) save(run, step);
  CHECK(names_in(run.path() / "checkpoints") ==
        Names{"latest", "step-20.safetensors", "step-30.safetensors"});
  const RunFolder moved = std::move(run);
  CHECK(has(text_of<IoError>([&] { (void)RunFolder::open(moved.path(), true); }), "a run is going on here"));
}

TEST_CASE("a summary that is none is named") {
  const TemporaryFolder folder;
  CHECK(has(text_of<IoError>([&] { (void)read_summary(folder.path()); }), "there is no summary.json"));
  std::ofstream(folder.path() / "summary.json") << "[1]";
  CHECK(text_of<IoError>([&] { (void)read_summary(folder.path()); }) ==
        (folder.path() / "summary.json").string() + ": is not a JSON object");
}

TEST_CASE("a failed save leaves the last good checkpoint") {
  const TemporaryFolder folder;
  RunFolder run = new_run(folder.path() / "run");
  save(run, 10, true);
  CHECK(has(text_of<IoError>([&] {
              const SmallFilesOnly limit(64);
              run.save_checkpoint(
                  20, [](const fs::path& path) { replace_file(path, std::string(1000, 'x')); }, true);
            }),
            "step-20.safetensors: cannot write"));
  CHECK(text_of<std::runtime_error>([&] {
          run.save_checkpoint(
              20,
              [](const fs::path& path) {
                std::ofstream(path) << "weights";
                throw std::runtime_error("not what was meant");
              },
              true);
        }) == "not what was meant");
  CHECK(find_checkpoint(run.path(), "latest").step == 10);
  CHECK(names_in(run.path() / "checkpoints") == Names{"best", "latest", "step-10.safetensors"});
}

TEST_CASE("a run killed at any moment goes on from its last whole checkpoint") {
  const TemporaryFolder folder;
  const fs::path path = folder.path() / "run";
  LogBytes at_10;
  {
    RunFolder run = new_run(path);
    run.write("config.toml", "x = 1\n");
    run.log(10, {{"loss", 1}});
    at_10 = run.log_bytes();
    save(run, 10, true);
    run.log(20, {{"loss", 0.5}});
  }
  std::ofstream(path / "checkpoints/.tmp-99-step-20.safetensors") << "half";
  bool renamed = false;
  SUBCASE("before the rename") { renamed = false; }
  SUBCASE("between the rename and the link") { renamed = true; }
  CAPTURE(renamed);
  if (renamed) std::ofstream(path / "checkpoints/step-20.safetensors") << "weights of step 20";
  RunFolder run = RunFolder::open(path, true);
  CHECK_FALSE(fs::exists(path / "checkpoints/.tmp-99-step-20.safetensors"));
  std::vector<std::string> warnings;
  const auto newest = run.newest_readable(accept, warnings);
  REQUIRE(newest);
  CHECK(newest->step == (renamed ? 20 : 10));
  CHECK(warnings.empty());
  // Where the links should be is in the checkpoint; they may not have been moved yet.
  CHECK(run.repair_links(*newest, newest->step));
  CHECK(linked_checkpoint(path, "latest")->step == newest->step);
  CHECK(linked_checkpoint(path, "best")->step == newest->step);
  if (!renamed) {
    CHECK(run.open_logs(10, at_10).empty());
    CHECK(MetricsLog::read(path / "metrics.jsonl").size() == 1);
    CHECK(run.log_bytes().events == at_10.events);
  }
}

TEST_CASE("a checkpoint that cannot be read is set aside, and the one before it is taken") {
  const TemporaryFolder folder;
  const fs::path path = folder.path() / "run", checkpoints = path / "checkpoints";
  {
    RunFolder run = new_run(path);
    for (const std::int64_t step : {10, 20, 30}) save(run, step, step == 30);
  }
  std::ofstream(checkpoints / "step-30.safetensors") << "rubbish";
  RunFolder run = RunFolder::open(path, true);
  std::vector<std::string> warnings;
  SUBCASE("the one before is good") {
    const auto newest = run.newest_readable(accept, warnings);
    REQUIRE(newest);
    CHECK(newest->step == 20);
    REQUIRE(warnings.size() == 1);
    CHECK(warnings[0] ==
          (checkpoints / "step-30.safetensors").string() +
              ": is damaged; it is now step-30.safetensors.unreadable, and the run goes on from "
              "step 20");
    CHECK(names_in(checkpoints) ==
          Names{"best", "latest", "step-20.safetensors", "step-30.safetensors.unreadable"});
    CHECK_FALSE(run.repair_links(*newest, 15));  // pruned since
    CHECK(find_checkpoint(path, "best").step == 20);
    CHECK(find_checkpoint(path, "latest").step == 20);
    CHECK_FALSE(run.repair_links(*newest, -1));
  }
  SUBCASE("it cannot be set aside") {
    fs::create_directories(checkpoints / "step-30.safetensors.unreadable/x");
    CHECK(has(text_of<IoError>([&] { (void)run.newest_readable(accept, warnings); }),
              "cannot rename the file"));
  }
  SUBCASE("none is good: never silently to step 0") {
    for (const char* name : {"step-10.safetensors", "step-20.safetensors"})
      std::ofstream(checkpoints / name) << "rubbish";
    CHECK(text_of<IoError>([&] { (void)run.newest_readable(accept, warnings); }) ==
          (checkpoints / "step-30.safetensors").string() +
              ": is damaged; no other checkpoint is left to go on from");
    CHECK(fs::exists(checkpoints / "step-30.safetensors"));
  }
}

TEST_CASE("the disk must have room for the checkpoints that are kept") {
  const TemporaryFolder folder;
  const RunFolder run = new_run(folder.path() / "run");
  CHECK_NOTHROW(run.check_space(1000));
  const std::string text = text_of<IoError>([&] { run.check_space(std::uint64_t{1} << 58); });
  CHECK(has(text, run.path().string() + ": not enough space for the checkpoints: "));
  CHECK(has(text, " MiB are free; free some or choose another folder with --out"));
}

TEST_CASE("resume without a checkpoint starts at 0, resume of nothing is refused") {
  const TemporaryFolder folder;
  const fs::path path = folder.path() / "run";
  const auto resume = [&] { return text_of<UsageError>([&] { (void)RunFolder::open(path, true); }); };
  CHECK(resume() == path.string() + ": there is no run to go on with; leave out --resume to start one");
  CHECK_FALSE(fs::exists(path));
  fs::create_directory(path);
  CHECK(has(resume(), "there is no run to go on with"));
  // Killed while it wrote its settings, and before its first checkpoint.
  std::ofstream(path / "lock") << "process 1 on host x\n";
  std::ofstream(path / ".tmp-1-config.toml") << "half";
  std::vector<std::string> warnings;
  {
    RunFolder run = RunFolder::open(path, true);
    CHECK_FALSE(run.newest_readable(accept, warnings).has_value());
    run.write("config.toml", "x = 1\n");
    CHECK(run.open_logs(0, {}).empty());
    run.log(5, {{"loss", 1}});
  }
  RunFolder run = RunFolder::open(path, true);
  CHECK_FALSE(run.newest_readable(accept, warnings).has_value());
  CHECK(run.open_logs(0, {}).empty());
  CHECK(read_file(run.path() / "metrics.jsonl").empty());
}

TEST_CASE("logs that somebody changed are named") {
  const TemporaryFolder folder;
  const fs::path path = folder.path() / "run";
  RunFolder run = new_run(path);
  run.log(1, {{"loss", 1}});
  const LogBytes bytes = run.log_bytes();
  std::ofstream(path / "metrics.jsonl") << "";
  std::ofstream(path / "events.out.tfevents.fovea") << std::string(1000, 'x');
  const auto warnings = run.open_logs(1, bytes);
  REQUIRE(warnings.size() == 2);
  CHECK(warnings[0] == (path / "metrics.jsonl").string() +
                           ": was changed since step 1 was saved; its lines up to that step are kept");
  CHECK(warnings[1] == (path / "events.out.tfevents.fovea").string() +
                           ": was changed since step 1 was saved; it is begun anew");
}

TEST_CASE("a second run is refused and told whose folder it is") {
  const TemporaryFolder folder;
  const fs::path path = folder.path() / "run";
  const std::string me = "process " + std::to_string(::getpid()) + " on host ";
  {
    RunFolder run = new_run(path);
    for (const bool resume : {false, true}) {
      const std::string text = text_of<IoError>([&] { (void)RunFolder::open(path, resume); });
      CHECK(has(text, "a run is going on here (" + me));
      CHECK(has(text, ", started 20"));
    }
    save(run, 1);
  }
  const std::string text = text_of<UsageError>([&] { (void)RunFolder::open(path, false); });
  CHECK(has(text, "holds a run already (" + me));
  std::ofstream(path / "lock") << "";
  CHECK(has(text_of<UsageError>([&] { (void)RunFolder::open(path, false); }), "(an unknown process)"));
  fs::remove(path / "lock");
  CHECK(has(text_of<UsageError>([&] { (void)RunFolder::open(path, false); }), "(an unknown process)"));
  CHECK(has(text, "--resume goes on with it"));
  CHECK_NOTHROW((void)RunFolder::open(path, true));
}

TEST_CASE("the lock ends with its process, however that ends") {
  const TemporaryFolder folder;
  const fs::path path = folder.path() / "run";
  int ready[2];
  REQUIRE(::pipe(ready) == 0);
  const pid_t child = ::fork();
  if (child == 0) {
    RunFolder run = new_run(path);
    (void)!::write(ready[1], "x", 1);
    ::pause();
    ::_exit(0);
  }
  char byte = 0;
  REQUIRE(::read(ready[0], &byte, 1) == 1);
  const std::string text = text_of<IoError>([&] { (void)RunFolder::open(path, true); });
  CHECK(has(text, "process " + std::to_string(child) + " on host "));
  ::kill(child, SIGKILL);
  ::waitpid(child, nullptr, 0);
  CHECK_NOTHROW((void)RunFolder::open(path, true));
  ::close(ready[0]);
  ::close(ready[1]);
}

TEST_CASE("a run that fails before its first checkpoint leaves no trace, foreign files stay") {
  const TemporaryFolder folder;
  { const RunFolder run = RunFolder::open(folder.path() / "a/run", false); }
  CHECK(names_in(folder.path() / "a").empty());
  {
    const RunFolder run = new_run(folder.path() / "a/run");
    run.write("config.toml", "x = 1\n");
  }
  CHECK(names_in(folder.path() / "a").empty());
  fs::create_directory(folder.path() / "mine");
  { const RunFolder run = RunFolder::open(folder.path() / "mine", false); }
  CHECK(names_in(folder.path() / "mine").empty());
  std::ofstream(folder.path() / "mine/thesis.tex") << "x";
  for (const bool resume : {false, true})
    CHECK(has(text_of<UsageError>([&] { (void)RunFolder::open(folder.path() / "mine", resume); }),
              "holds files but no run"));
  CHECK(names_in(folder.path() / "mine") == Names{"thesis.tex"});
  // A lock alone makes it no run.
  std::ofstream(folder.path() / "mine/lock") << "process 1 on host x\n";
  CHECK(has(text_of<UsageError>([&] { (void)RunFolder::open(folder.path() / "mine", false); }),
            "holds files but no run"));
  fs::remove(folder.path() / "mine/lock");
  // Figures of another program are not ours to cut, whatever their name.
  fs::rename(folder.path() / "mine/thesis.tex", folder.path() / "mine/metrics.jsonl");
  CHECK(has(text_of<UsageError>([&] { (void)RunFolder::open(folder.path() / "mine", false); }),
            "holds files but no run"));
}

TEST_CASE("runs without a name get the first free number") {
  const TemporaryFolder folder;
  fs::create_directories(folder.path() / "runs/ln-1");
  const RunFolder first = RunFolder::open_new(folder.path() / "runs", "ln");
  const RunFolder second = RunFolder::open_new(folder.path() / "runs", "ln");
  CHECK(has(text_of<IoError>([&] { (void)RunFolder::open_new(folder.path(), "no/such"); }),
            "cannot make the folder"));
  CHECK(first.path().filename() == "ln-2");
  CHECK(second.path().filename() == "ln-3");
}

TEST_CASE("a folder that cannot be written is refused in one line") {
  const TemporaryFolder folder;
  std::ofstream(folder.path() / "file") << "x";
  CHECK(has(text_of<IoError>([&] { (void)RunFolder::open(folder.path() / "file/run", false); }),
            "cannot make the folder"));
  CHECK(has(text_of<IoError>([&] { (void)RunFolder::open_new(folder.path() / "file", "ln"); }),
            "cannot make the folder"));
  if (::geteuid() != 0) {  // root may write anywhere
    fs::create_directory(folder.path() / "locked");
    fs::permissions(folder.path() / "locked", fs::perms::owner_read | fs::perms::owner_exec);
    CHECK(has(text_of<IoError>([&] { (void)RunFolder::open(folder.path() / "locked", false); }),
              "choose another folder with --out"));
    fs::permissions(folder.path() / "locked", fs::perms::owner_all);
  }
}

}  // namespace fovea::apps
