// SPDX-License-Identifier: Apache-2.0
#include "apps/run_folder.h"

#include <doctest/doctest.h>
#include <signal.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <cmath>
#include <fstream>

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

std::vector<std::string> names_in(const fs::path& folder) {
  std::vector<std::string> names;
  for (const auto& entry : fs::directory_iterator(folder)) names.push_back(entry.path().filename().string());
  std::sort(names.begin(), names.end());
  return names;
}

using Names = std::vector<std::string>;

void save(RunFolder& run, std::int64_t step, bool best = false) {
  run.save_checkpoint(
      step, [step](const fs::path& path) { std::ofstream(path) << "weights of step " << step; }, best);
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
    MetricsLog log(file, std::nullopt);
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
  for (const std::string torn :
       {"", "{\"step\":3,\"loss\":1}\n", "{\"step\":2,\"lo", "{\"step\":2,\"l\0\0\n"}) {
    CAPTURE(torn);
    std::ofstream(file) << kept << torn;
    { const MetricsLog log(file, 2); }
    CHECK(read_file(file) == kept);
  }
  { const MetricsLog log(file, std::nullopt); }
  CHECK(read_file(file).empty());
  std::ofstream(file) << "{\"step\":1}\nnonsense\n{\"step\":2}\n";
  CHECK(text_of<IoError>([&] { const MetricsLog log(file, 2); }) ==
        file.string() + ":2: not a line of figures; the file was changed by another program");
}

TEST_CASE("a full disk stops the log with one line, and what is torn is dropped") {
  const TemporaryFolder folder;
  const fs::path file = folder.path() / "m";
  MetricsLog log(file, std::nullopt);
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
    RunFolder run = RunFolder::open(path, false);
    CHECK_FALSE(run.latest().has_value());
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
        path.string() + ": has no checkpoint '30'; there are steps 20, 40, 50");
  CHECK(has(text_of<IoError>([&] { (void)find_checkpoint(folder.path() / "none", "best"); }),
            "there is no such run folder"));
  CHECK(
      has(text_of<IoError>([&] { (void)find_checkpoint(folder.path(), "best"); }), "has no checkpoint yet"));
}

TEST_CASE("a failed save leaves the last good checkpoint") {
  const TemporaryFolder folder;
  RunFolder run = RunFolder::open(folder.path() / "run", false);
  save(run, 10, true);
  CHECK(has(text_of<IoError>([&] {
              const SmallFilesOnly limit(64);
              run.save_checkpoint(
                  20, [](const fs::path& path) { replace_file(path, std::string(1000, 'x')); }, true);
            }),
            "cannot write"));
  CHECK(text_of<std::runtime_error>([&] {
          run.save_checkpoint(
              20, [](const fs::path& path) { std::ofstream(path) << "weights"; }, true,
              [](const fs::path&) { throw std::runtime_error("not what was meant"); });
        }) == "not what was meant");
  CHECK(run.latest()->step == 10);
  CHECK(names_in(run.path() / "checkpoints") == Names{"best", "latest", "step-10.safetensors"});
}

TEST_CASE("a run killed at any moment goes on from its last whole checkpoint") {
  const TemporaryFolder folder;
  const fs::path path = folder.path() / "run";
  {
    RunFolder run = RunFolder::open(path, false);
    run.write("config.toml", "x = 1\n");
    run.metrics().append(10, {{"loss", 1}});
    save(run, 10);
    run.metrics().append(20, {{"loss", 0.5}});
  }
  std::ofstream(path / "checkpoints/.tmp-99-step-20.safetensors") << "half";
  SUBCASE("before the rename") {
    RunFolder run = RunFolder::open(path, true);
    CHECK(run.latest()->step == 10);
    CHECK(MetricsLog::read(path / "metrics.jsonl").size() == 1);
  }
  SUBCASE("between the rename and the link") {
    std::ofstream(path / "checkpoints/step-20.safetensors") << "whole";
    RunFolder run = RunFolder::open(path, true);
    CHECK(run.latest()->step == 20);
    CHECK(MetricsLog::read(path / "metrics.jsonl").size() == 2);
  }
  CHECK_FALSE(fs::exists(path / "checkpoints/.tmp-99-step-20.safetensors"));
}

TEST_CASE("resume without a checkpoint starts at 0") {
  const TemporaryFolder folder;
  {
    RunFolder run = RunFolder::open(folder.path() / "run", true);
    run.write("config.toml", "x = 1\n");
    run.metrics().append(5, {{"loss", 1}});
  }
  RunFolder run = RunFolder::open(folder.path() / "run", true);
  CHECK_FALSE(run.latest().has_value());
  CHECK(read_file(run.path() / "metrics.jsonl").empty());
}

TEST_CASE("a second run is refused and told whose folder it is") {
  const TemporaryFolder folder;
  const fs::path path = folder.path() / "run";
  const std::string me = "process " + std::to_string(::getpid()) + " on host ";
  {
    RunFolder run = RunFolder::open(path, false);
    for (const bool resume : {false, true}) {
      const std::string text = text_of<IoError>([&] { (void)RunFolder::open(path, resume); });
      CHECK(has(text, "a run is going on here (" + me));
      CHECK(has(text, ", started 20"));
    }
    save(run, 1);
  }
  const std::string text = text_of<UsageError>([&] { (void)RunFolder::open(path, false); });
  CHECK(has(text, "holds a run already (" + me));
  CHECK(has(text, "--resume goes on with it"));
  CHECK(RunFolder::open(path, true).latest()->step == 1);
}

TEST_CASE("the lock ends with its process, however that ends") {
  const TemporaryFolder folder;
  const fs::path path = folder.path() / "run";
  int ready[2];
  REQUIRE(::pipe(ready) == 0);
  const pid_t child = ::fork();
  if (child == 0) {
    RunFolder run = RunFolder::open(path, false);
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

TEST_CASE("a run that fails before it begins leaves no trace, foreign files stay") {
  const TemporaryFolder folder;
  { const RunFolder run = RunFolder::open(folder.path() / "a/run", false); }
  CHECK(names_in(folder.path() / "a").empty());
  fs::create_directory(folder.path() / "mine");
  { const RunFolder run = RunFolder::open(folder.path() / "mine", false); }
  CHECK(names_in(folder.path() / "mine").empty());
  std::ofstream(folder.path() / "mine/thesis.tex") << "x";
  CHECK(has(text_of<UsageError>([&] { (void)RunFolder::open(folder.path() / "mine", true); }),
            "holds files but no run"));
  CHECK(names_in(folder.path() / "mine") == Names{"thesis.tex"});
}

TEST_CASE("runs without a name get the first free number") {
  const TemporaryFolder folder;
  fs::create_directories(folder.path() / "runs/ln-1");
  const RunFolder first = RunFolder::open_new(folder.path() / "runs", "ln");
  const RunFolder second = RunFolder::open_new(folder.path() / "runs", "ln");
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
