// SPDX-License-Identifier: Apache-2.0
#include "apps/run_folder.h"

#include <fcntl.h>
#include <fmt/chrono.h>
#include <fmt/ranges.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <charconv>
#include <cstring>
#include <ctime>

#include "apps/atomic_file.h"
#include "apps/exit_code.h"

namespace fovea::apps {
namespace fs = std::filesystem;
namespace {

constexpr const char* kLock = "lock";
constexpr const char* kMetrics = "metrics.jsonl";
constexpr const char* kCheckpoints = "checkpoints";
constexpr std::string_view kPrefix = "step-", kSuffix = ".safetensors";

/// "process 4711 on host lab3, started 2026-03-01T12:00:00Z"
std::string this_process() {
  char host[256] = "?";
  (void)::gethostname(host, sizeof host - 1);
  return fmt::format("process {} on host {}, started {:%Y-%m-%dT%H:%M:%SZ}", ::getpid(), host,
                     fmt::gmtime(std::time(nullptr)));
}

std::string owner_in(const fs::path& lock) {
  std::string text;
  try {
    text = read_file(lock);
  } catch (const IoError&) {
  }
  while (!text.empty() && text.back() == '\n') text.pop_back();
  return text.empty() ? "an unknown process" : text;
}

std::optional<std::int64_t> step_of(const fs::path& file) {
  const std::string name = file.filename().string();
  if (!name.starts_with(kPrefix) || !name.ends_with(kSuffix)) return std::nullopt;
  const char* first = name.data() + kPrefix.size();
  const char* last = name.data() + name.size() - kSuffix.size();
  std::int64_t step = 0;
  const auto [end, error] = std::from_chars(first, last, step);
  return error == std::errc{} && end == last && first != last ? std::optional(step) : std::nullopt;
}

/// Sorted by step. A file of this name is whole: it got its name by a rename.
std::vector<Checkpoint> checkpoints_of(const fs::path& run) {
  std::vector<Checkpoint> found;
  std::error_code ignored;
  for (const fs::directory_entry& entry : fs::directory_iterator(run / kCheckpoints, ignored))
    if (const auto step = step_of(entry.path())) found.push_back({*step, entry.path()});
  std::sort(found.begin(), found.end(), [](const auto& a, const auto& b) { return a.step < b.step; });
  return found;
}

/// Where a link points to, if that is there.
std::optional<Checkpoint> linked(const fs::path& run, std::string_view link) {
  std::error_code error;
  const fs::path target = fs::read_symlink(run / kCheckpoints / link, error);
  if (error) return std::nullopt;
  const fs::path file = run / kCheckpoints / target.filename();
  const auto step = step_of(file);
  return step && fs::exists(file, error) ? std::optional(Checkpoint{*step, file}) : std::nullopt;
}

/// `latest` is moved after the checkpoint is there, so a run killed in between has one more than the link
/// says.
std::optional<Checkpoint> latest_of(const fs::path& run) {
  const std::vector<Checkpoint> all = checkpoints_of(run);
  return all.empty() ? std::nullopt : std::optional(all.back());
}

enum class Content { nothing, a_run, foreign };

/// The lock, an empty metrics.jsonl and an empty checkpoints/ are what open() makes: not yet a run.
Content content_of(const fs::path& folder) {
  bool foreign = false;
  for (const fs::directory_entry& entry : fs::directory_iterator(folder)) {
    const std::string name = entry.path().filename().string();
    if (name == "config.toml" || name == "summary.json") return Content::a_run;
    if ((name == kMetrics || name == kCheckpoints) && !fs::is_empty(entry.path())) return Content::a_run;
    if (name != kLock && name != kMetrics && name != kCheckpoints) foreign = true;
  }
  return foreign ? Content::foreign : Content::nothing;
}

/// The file at `path` is the open one: it was not removed (and perhaps made anew) since.
bool is_same_file(int fd, const fs::path& path) {
  struct stat open_file {
  }, named{};
  return ::fstat(fd, &open_file) == 0 && ::stat(path.c_str(), &named) == 0 &&
         open_file.st_ino == named.st_ino && open_file.st_dev == named.st_dev;
}

int take_lock(const fs::path& folder) {
  const fs::path lock = folder / kLock;
  while (true) {
    const int fd = ::open(lock.c_str(), O_RDWR | O_CREAT | O_CLOEXEC, 0666);
    if (fd < 0)
      throw IoError(fmt::format("{}: cannot write: {}; choose another folder with --out", folder.string(),
                                std::strerror(errno)));
    if (::flock(fd, LOCK_EX | LOCK_NB) == 0) {
      if (is_same_file(fd, lock)) return fd;
      ::close(fd);  // a run that ended before it began took the file away between our two calls
      continue;
    }
    const int error = errno;
    ::close(fd);
    if (error == EWOULDBLOCK)
      throw IoError(fmt::format("{}: a run is going on here ({}); choose another folder with --out",
                                folder.string(), owner_in(lock)));
    throw IoError(fmt::format("{}: cannot lock: {}", lock.string(), std::strerror(error)));
  }
}

void write_owner(int fd, const fs::path& folder) {
  const std::string owner = this_process() + "\n";
  if (::ftruncate(fd, 0) != 0 ||
      ::pwrite(fd, owner.data(), owner.size(), 0) != static_cast<ssize_t>(owner.size()))
    throw IoError(fmt::format("{}: cannot write: {}; choose another folder with --out", folder.string(),
                              std::strerror(errno)));
}

}  // namespace

RunFolder RunFolder::open(const fs::path& folder, bool resume) {
  const bool existed = fs::exists(folder);
  make_folder(folder);
  // Looked at before the lock file is made: a refusal must leave a foreign folder as it was.
  if (content_of(folder) == Content::foreign)
    throw UsageError(
        fmt::format("{}: holds files but no run; choose an empty or new folder with --out", folder.string()));
  RunFolder run(folder, take_lock(folder));
  run.made_by_us_ = !existed;
  if (!resume && content_of(folder) == Content::a_run)
    throw UsageError(
        fmt::format("{}: holds a run already ({}); --resume goes on with it, --out chooses another folder",
                    folder.string(), owner_in(folder / kLock)));
  write_owner(run.lock_, folder);
  make_folder(folder / kCheckpoints);
  remove_temporary_files(folder);
  remove_temporary_files(folder / kCheckpoints);
  const std::optional<Checkpoint> latest = run.latest();
  run.metrics_ =
      std::make_unique<MetricsLog>(folder / kMetrics, latest ? std::optional(latest->step) : std::nullopt);
  return run;
}

RunFolder RunFolder::open_new(const fs::path& parent, std::string_view name) {
  make_folder(parent);
  for (int number = 1;; ++number) {
    const fs::path folder = parent / fmt::format("{}-{}", name, number);
    std::error_code error;
    // create_directory tells who made it: of two programs that start at once, each gets its own folder.
    if (fs::create_directory(folder, error)) {
      RunFolder run = open(folder, /*resume=*/false);
      run.made_by_us_ = true;
      return run;
    }
    if (error)
      throw IoError(fmt::format("{}: cannot make the folder: {}; choose another one with --out",
                                folder.string(), error.message()));
  }
}

RunFolder::RunFolder(RunFolder&& other) noexcept
    : path_(std::move(other.path_)),
      lock_(std::exchange(other.lock_, -1)),
      made_by_us_(other.made_by_us_),
      metrics_(std::move(other.metrics_)) {}

RunFolder::~RunFolder() {
  if (lock_ < 0) return;
  metrics_.reset();
  try {
    if (content_of(path_) == Content::nothing) {  // it failed before it began: leave no trace
      fs::remove(path_ / kMetrics);
      fs::remove(path_ / kCheckpoints);
      fs::remove(path_ / kLock);
      if (made_by_us_) fs::remove(path_);
    }
  } catch (const fs::filesystem_error&) {  // somebody took the folder away; there is nothing to tidy
  }
  ::close(lock_);  // gives the lock back
}

std::optional<Checkpoint> RunFolder::latest() const { return latest_of(path_); }

void RunFolder::save_checkpoint(std::int64_t step, const std::function<void(const fs::path&)>& write,
                                bool best, const std::function<void(const fs::path&)>& check) {
  metrics_->sync();
  const fs::path folder = path_ / kCheckpoints;
  const std::string name = fmt::format("{}{}{}", kPrefix, step, kSuffix);
  replace_file(folder / name, [&](const fs::path& temporary) {
    write(temporary);
    if (check) check(temporary);
  });
  replace_link(folder / "latest", name);
  if (best) replace_link(folder / "best", name);

  std::vector<Checkpoint> old = checkpoints_of(path_);
  old.resize(old.size() - std::min<std::size_t>(old.size(), 2));
  const std::optional<Checkpoint> kept_latest = linked(path_, "latest"), kept_best = linked(path_, "best");
  for (const Checkpoint& checkpoint : old) {
    if (kept_latest && checkpoint.step == kept_latest->step) continue;
    if (kept_best && checkpoint.step == kept_best->step) continue;
    std::error_code ignored;  // one checkpoint too many harms nobody
    fs::remove(checkpoint.path, ignored);
  }
}

void RunFolder::write(std::string_view name, std::string_view content) const {
  replace_file(path_ / name, content);
}

Checkpoint find_checkpoint(const fs::path& run, std::string_view which) {
  if (!fs::is_directory(run)) throw IoError(fmt::format("{}: there is no such run folder", run.string()));
  const std::vector<Checkpoint> all = checkpoints_of(run);
  if (which == "latest") {
    if (const auto latest = latest_of(run)) return *latest;
  } else if (which == "best") {
    if (const auto best = linked(run, "best")) return *best;
  } else {
    for (const Checkpoint& checkpoint : all)
      if (fmt::format("{}", checkpoint.step) == which) return checkpoint;
  }
  std::vector<std::int64_t> steps;
  for (const Checkpoint& checkpoint : all) steps.push_back(checkpoint.step);
  throw IoError(steps.empty() ? fmt::format("{}: has no checkpoint yet", run.string())
                              : fmt::format("{}: has no checkpoint '{}'; there are steps {}", run.string(),
                                            which, fmt::join(steps, ", ")));
}

}  // namespace fovea::apps
