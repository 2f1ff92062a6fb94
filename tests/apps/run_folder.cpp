// SPDX-License-Identifier: Apache-2.0
#include "apps/run_folder.h"

#include <doctest/doctest.h>
#include <signal.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cmath>
#include <fstream>
#include <nlohmann/json.hpp>

#include "apps/atomic_file.h"
#include "apps/exit_code.h"
#include "tests/temporary_folder.h"

namespace fovea::apps {
using test::TemporaryFolder;
using test::text_of;
namespace fs = std::filesystem;
namespace {

/// A disk on which no file may grow beyond so many bytes; works for root too, unlike a read-only folder.
class SmallFilesOnly {
 public:
  explicit SmallFilesOnly(rlim_t bytes) : previous_signal_(::signal(SIGXFSZ, SIG_IGN)) {
    ::getrlimit(RLIMIT_FSIZE, &previous_);
    const rlimit limit{bytes, previous_.rlim_max};
    ::setrlimit(RLIMIT_FSIZE, &limit);
  }
  SmallFilesOnly(const SmallFilesOnly&) = delete;
  SmallFilesOnly& operator=(const SmallFilesOnly&) = delete;
  ~SmallFilesOnly() {
    ::setrlimit(RLIMIT_FSIZE, &previous_);
    ::signal(SIGXFSZ, previous_signal_);
  }

 private:
  rlimit previous_{};
  void (*previous_signal_)(int);
};

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

bool has(const std::string& text, std::string_view part) { return text.find(part) != std::string::npos; }

}  // namespace

TEST_CASE("replace_file leaves the old file when writing fails") {
  const TemporaryFolder folder;
  const fs::path file = folder.path() / "f";
  replace_file(file, "old");
  SUBCASE("the disk is full") {
    const SmallFilesOnly limit(100);
    CHECK(has(text_of<IoError>([&] { replace_file(file, std::string(1000, 'x')); }), "cannot write"));
  }
  SUBCASE("the writer throws") {
    CHECK(text_of<std::runtime_error>([&] {
            replace_file(file, [](const fs::path& path) {
              std::ofstream(path) << "half";
              throw std::runtime_error("no more");
            });
          }) == "no more");
  }
  SUBCASE("the writer writes nothing") {
    CHECK(has(text_of<IoError>([&] { replace_file(file, [](const fs::path&) {}); }), "cannot read back"));
  }
  CHECK(read_file(file) == "old");
  CHECK(names_in(folder.path()) == Names{"f"});
}

TEST_CASE("an error names the file that is meant, and what may help") {
  const TemporaryFolder folder;
  const fs::path file = folder.path() / "f";
  CHECK(text_of<IoError>([&] {
          replace_file(file, [](const fs::path& path) { throw IoError(path.string() + ": no ink"); });
        }) == file.string() + ": no ink");
  CHECK(text_of<IoError>([&] { replace_file(file, [](const fs::path&) { throw IoError("elsewhere"); }); }) ==
        "elsewhere");
  const auto hint = [&](int error) { return text_of<IoError>([&] { file_error(file, "write", error); }); };
  for (const int error : {ENOSPC, EDQUOT}) CHECK(has(hint(error), "; free some space"));
  for (const int error : {EACCES, EPERM, EROFS})
    CHECK(has(hint(error), "; choose a folder you may write to"));
  CHECK(hint(EIO) == file.string() + ": cannot write: Input/output error");
}

TEST_CASE("replace_folder changes places with the old folder, or leaves it as it was") {
  const TemporaryFolder folder;
  const fs::path target = folder.path() / "repro";
  const auto write = [](const char* name) {
    return [name](const fs::path& made) { replace_file(made / name, std::string("x")); };
  };
  replace_folder(target, write("old"));
  replace_folder(target, write("new"));
  CHECK(names_in(target) == Names{"new"});
  CHECK(text_of<IoError>([&] {
          replace_folder(target, [](const fs::path& made) { throw IoError((made / "f").string() + ": no"); });
        }) == (target / "f").string() + ": no");
  CHECK(has(text_of<IoError>([&] { replace_folder(target / ".", write("new")); }),
            ": cannot replace the folder: "));
  CHECK(names_in(target) == Names{"new"});
  fs::create_symlink("nowhere", folder.path() / "link");
  CHECK(text_of<IoError>([&] { replace_folder(folder.path() / "link", write("new")); }) ==
        (folder.path() / "link").string() +
            ": cannot make the folder: Not a directory; choose another place");
  CHECK(text_of<IoError>([&] { replace_folder(folder.path() / "no/repro", write("new")); }) ==
        (folder.path() / "no/repro").string() +
            ": cannot make the folder: No such file or directory; choose another place");
  CHECK(names_in(folder.path()) == Names{"link", "repro"});
}

TEST_CASE("replace_file and its errors") {
  const TemporaryFolder folder;
  const fs::path file = folder.path() / "f";
  replace_file(file, "one");
  const auto first = file_checksum(file);
  replace_file(file, "two");
  CHECK(read_file(file) == "two");
  CHECK(file_checksum(file) != first);
  CHECK(has(text_of<IoError>([&] { replace_file(file / "below", "x"); }), "cannot write: Not a directory"));
  CHECK(has(text_of<IoError>([&] { (void)read_file(folder.path() / "none"); }), "No such file"));
  CHECK(has(text_of<IoError>([&] { (void)read_file(folder.path()); }), "Is a directory"));
  CHECK(has(text_of<IoError>([&] { make_folder(file / "below"); }), "cannot make the folder"));
  CHECK(has(text_of<IoError>([&] { make_folder(file); }), "cannot make the folder"));
}

TEST_CASE("figures of a step become one line and come back") {
  CHECK(metrics_line(120, {{"loss", 0.5}, {"r \"x\"", std::nan("")}}) ==
        "{\"step\":120,\"loss\":0.5,\"r \\\"x\\\"\":null}\n");
  const TemporaryFolder folder;
  const fs::path file = folder.path() / "m";
  {
    MetricsLog log(file, {});
    log.append(1, {{"loss", 0.1}});
    log.append(2, {{"loss", 1e-30}, {"r", std::nan("")}});
    log.sync();
  }
  const auto rows = MetricsLog::read(file);
  REQUIRE(rows.size() == 2);
  CHECK(rows[1].step == 2);
  CHECK(rows[1].figures[0] == std::pair<std::string, double>("loss", 1e-30));
  CHECK(std::isnan(rows[1].figures[1].second));
  CHECK(MetricsLog::read(folder.path() / "none").empty());
}

TEST_CASE("a resumed log drops lines past the checkpoint and a torn last line") {
  const TemporaryFolder folder;
  const fs::path file = folder.path() / "m";
  const std::string kept = "{\"step\":1,\"loss\":3}\n{\"step\":2,\"loss\":2}\n";
  for (const std::string& torn :
       {std::string(), std::string("{\"step\":3,\"loss\":1}\n"), std::string("{\"step\":2,\"lo"),
        std::string("{\"step\":2,\"l\0\0\n", 15)}) {
    CAPTURE(torn);
    std::ofstream(file) << kept << torn;
    {
      const MetricsLog log(file, {2, kept.size()});
      CHECK_FALSE(log.changed());
    }
    CHECK(read_file(file) == kept);
    // A file that is not what the checkpoint saw is gone through line by line.
    std::ofstream(file) << kept << torn;
    {
      const MetricsLog log(file, {2, kept.size() + 100});
      CHECK(log.changed());
      CHECK(log.size() == kept.size());
    }
    CHECK(read_file(file) == kept);
  }
  { const MetricsLog log(file, {}); }
  CHECK(read_file(file).empty());
  fs::remove(file);
  CHECK(MetricsLog(file, {2, 10}).changed());
  CHECK(fs::exists(file));
  std::ofstream(file) << "{\"step\":1}\nnonsense\n{\"step\":2}\n";
  CHECK(text_of<IoError>([&] {
          const MetricsLog log(file, {2, 5});
        }) == file.string() + ":2: not a line of figures; the file was changed by another program");
}

TEST_CASE("a full disk stops the log with one line, and what is torn is dropped") {
  const TemporaryFolder folder;
  const fs::path file = folder.path() / "m";
  MetricsLog log(file, {});
  log.append(1, {{"loss", 1}});
  {
    const SmallFilesOnly limit(30);
    CHECK(has(text_of<IoError>([&] { log.append(2, {{"loss", 2}}); }), "cannot write"));
  }
  CHECK(MetricsLog::read(file).size() == 1);
}

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
