// SPDX-License-Identifier: Apache-2.0
#include "apps/run_folder.h"

#include <fcntl.h>
#include <fmt/chrono.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <sys/statvfs.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstring>
#include <ctime>
#include <new>
#include <nlohmann/json.hpp>

#include "apps/atomic_file.h"
#include "apps/exit_code.h"

namespace fovea::apps {
namespace fs = std::filesystem;
namespace {

constexpr const char* kLock = "lock";
constexpr const char* kMetrics = "metrics.jsonl";
constexpr const char* kEvents = "events.out.tfevents.fovea";  // TensorBoard looks for "tfevents"
constexpr const char* kConfig = "config.toml";
constexpr const char* kCheckpoints = "checkpoints";
constexpr std::size_t kKeptCheckpoints = 2;  // besides `best`

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
  text = text.substr(0, text.find('\n'));
  return text.empty() ? "an unknown process" : text;
}

enum class Content { nothing, a_run, foreign };

/// A run has settings or a checkpoint. Before that it makes a lock, then logs, folders and temporary files; without a
/// lock these are somebody else's.
Content content_of(const fs::path& folder) {
  if (fs::exists(folder / kConfig) || !checkpoints_of(folder).empty()) return Content::a_run;
  const bool begun = fs::exists(folder / kLock);
  for (const std::string& name : names_in(folder)) {
    const bool ours = name == kLock || name == kMetrics || name == kEvents || name == kCheckpoints;
    if (!begun || !(ours || is_temporary_file(name))) return Content::foreign;
  }
  return Content::nothing;
}

/// The file at `path` is the open one: it was not removed (and perhaps made anew) since.
bool is_same_file(int fd, const fs::path& path) {
  struct stat open_file {
  }, named{};
  (void)::fstat(fd, &open_file);  // what cannot be asked for stays 0, and is not the same
  (void)::stat(path.c_str(), &named);
  return std::pair(open_file.st_ino, open_file.st_dev) == std::pair(named.st_ino, named.st_dev);
}

int take_lock(const fs::path& folder) {
  const fs::path lock = folder / kLock;
  while (true) {
    const int fd = ::open(lock.c_str(), O_RDWR | O_CREAT | O_CLOEXEC, 0666);
    if (fd < 0)
      throw IoError(fmt::format("{}: cannot write: {}; choose another folder with --out", folder.string(),
                                std::strerror(errno)));
    if (::flock(fd, LOCK_EX | LOCK_NB) == 0) {
      if (is_same_file(fd, lock)) return fd;  // coverage: else, see below: between two calls
      ::close(fd);  // a run that ended before it began took the file away between our two calls
      continue;
    }
    const int error = errno;
    ::close(fd);
    if (error == EWOULDBLOCK)
      throw IoError(fmt::format("{}: a run is going on here ({}); choose another folder with --out",
                                folder.string(), owner_in(lock)));
    throw IoError(fmt::format("{}: cannot lock: {}", lock.string(),
                              std::strerror(error)));  // untested: needs a file system without locks
  }
}

void write_owner(int fd, const fs::path& folder) {
  const std::string owner = this_process() + "\n";
  if (::ftruncate(fd, 0) != 0) file_error(folder, "write", errno);
  const ssize_t count = ::pwrite(fd, owner.data(), owner.size(), 0);
  if (count != static_cast<ssize_t>(owner.size())) file_error(folder, "write", count < 0 ? errno : ENOSPC);
}

}  // namespace

RunFolder RunFolder::open(const fs::path& folder, bool resume) {
  const bool existed = fs::exists(folder);
  // A run that was killed before it wrote anything has left its lock file.
  if (resume && !fs::exists(folder / kLock) && (!existed || content_of(folder) == Content::nothing))
    throw UsageError(
        fmt::format("{}: there is no run to go on with; leave out --resume to start one", folder.string()));
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
                    folder.string(),
                    owner_in(folder / kLock)));  // untested: as a whole, for it names a process and a time
  run.new_run_ = !resume;
  write_owner(run.lock_, folder);
  make_folder(folder / kCheckpoints);
  remove_temporary_files(folder);
  remove_temporary_files(folder / kCheckpoints);
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
      new_run_(other.new_run_),
      metrics_(std::move(other.metrics_)),
      events_(std::move(other.events_)) {}

RunFolder::~RunFolder() {
  if (lock_ < 0) return;
  metrics_.reset();
  events_.reset();
  try {
    if (new_run_ && checkpoints_of(path_).empty()) remove_own_files();
  } catch (const std::bad_alloc&) {  // they stay, and --resume finds a run without a checkpoint
  }
  ::close(lock_);  // gives the lock back
}

void RunFolder::remove_own_files() const {
  std::error_code ignored;  // somebody may have taken the folder away; then there is nothing to tidy
  for (const char* name : {kConfig, kMetrics, kEvents, kCheckpoints, kLock})
    fs::remove(path_ / name, ignored);
  if (made_by_us_) fs::remove(path_, ignored);
}

std::optional<Checkpoint> RunFolder::newest_readable(const std::function<void(const Checkpoint&)>& read,
                                                     std::vector<std::string>& warnings) const {
  std::vector<Checkpoint> all = checkpoints_of(path_);
  std::vector<std::pair<Checkpoint, std::string>> unreadable;
  for (; !all.empty(); all.pop_back()) {
    try {
      read(all.back());
      break;
    } catch (const IoError& error) {
      unreadable.emplace_back(all.back(), error.what());
    }
  }
  if (all.empty() && !unreadable.empty())
    throw IoError(fmt::format("{}; no other checkpoint is left to go on from", unreadable.front().second));
  for (const auto& [checkpoint, why] : unreadable) {
    const fs::path aside = checkpoint.path.string() + ".unreadable";
    if (::rename(checkpoint.path.c_str(), aside.c_str()) != 0)
      file_error(checkpoint.path, "rename the file", errno);
    warnings.push_back(fmt::format("{}; it is now {}, and the run goes on from step {}", why,
                                   aside.filename().string(), all.back().step));
  }
  return all.empty() ? std::nullopt : std::optional(all.back());
}

bool RunFolder::repair_links(const Checkpoint& newest, std::int64_t best_step) const {
  const auto point = [&](const char* link, std::int64_t step) {
    const auto now = linked_checkpoint(path_, link);
    if (!now || now->step != step) replace_link(path_ / kCheckpoints / link, checkpoint_name(step));
  };
  point("latest", newest.step);
  const bool found = best_step >= 0 && fs::exists(path_ / kCheckpoints / checkpoint_name(best_step));
  point("best", found ? best_step : newest.step);
  return found;
}

void RunFolder::check_space(std::uint64_t checkpoint_bytes) const {
  struct statvfs disk {};
  if (::statvfs(path_.c_str(), &disk) != 0) return;  // not known; the first save will tell
  constexpr std::uint64_t kLogs = 1 << 20;           // and summary and report
  const std::uint64_t most = kKeptCheckpoints + 2;   // with `best` and the one being written
  const std::uint64_t missing = most - std::min<std::uint64_t>(most - 1, checkpoints_of(path_).size());
  const std::uint64_t needed = missing * checkpoint_bytes + kLogs;
  const std::uint64_t available = static_cast<std::uint64_t>(disk.f_bavail) * disk.f_frsize;
  constexpr double kMiB = 1 << 20;
  if (available < needed)
    throw IoError(fmt::format(  // untested: tests/crash/full_disk.sh looks at its words
        "{}: not enough space for the checkpoints: {:.1f} MiB are needed, {:.1f} MiB are "
        "free; free some or choose another folder with --out",
        path_.string(), static_cast<double>(needed) / kMiB, static_cast<double>(available) / kMiB));
}

std::vector<std::string> RunFolder::open_logs(std::int64_t step, const LogBytes& bytes) {
  metrics_ = std::make_unique<MetricsLog>(path_ / kMetrics, LogEnd{step, bytes.metrics});
  events_ = std::make_unique<EventFile>(path_ / kEvents, LogEnd{step, bytes.events});
  std::vector<std::string> warnings;
  const auto warn = [&](const char* name, const char* what) {
    warnings.push_back(
        fmt::format("{}: was changed since step {} was saved; {}", (path_ / name).string(), step, what));
  };
  if (metrics_->changed()) warn(kMetrics, "its lines up to that step are kept");
  if (events_->changed()) warn(kEvents, "it is begun anew");
  return warnings;
}

void RunFolder::log(std::int64_t step, const Figures& figures) {
  metrics_->append(step, figures);
  events_->append(step, figures);
}

void RunFolder::save_checkpoint(std::int64_t step, const std::function<void(const fs::path&)>& write,
                                bool best) {
  metrics_->sync();
  events_->sync();
  const fs::path folder = path_ / kCheckpoints;
  replace_file(folder / checkpoint_name(step), write);
  replace_link(folder / "latest", checkpoint_name(step));
  if (best) replace_link(folder / "best", checkpoint_name(step));

  std::vector<Checkpoint> old = checkpoints_of(path_);
  old.resize(old.size() - std::min(old.size(), kKeptCheckpoints));
  const std::optional<Checkpoint> kept_best = linked_checkpoint(path_, "best");
  for (const Checkpoint& checkpoint : old) {
    if (kept_best && checkpoint.step == kept_best->step) continue;
    std::error_code ignored;  // one checkpoint too many harms nobody
    fs::remove(checkpoint.path, ignored);
  }
}

void RunFolder::write(std::string_view name, std::string_view content) const {
  replace_file(path_ / name, content);
}

nlohmann::json read_summary(const fs::path& run) {
  const fs::path path = run / "summary.json";
  if (!fs::exists(path))
    throw IoError(
        fmt::format("{}: there is no summary.json; is it a finished run? (fovea train MODEL --out {})",
                    run.string(), run.string()));
  const auto summary = nlohmann::json::parse(read_file(path), nullptr, false);
  if (!summary.is_object()) throw IoError(fmt::format("{}: is not a JSON object", path.string()));
  return summary;
}

bool is_finished(const fs::path& run) {
  if (!fs::exists(run / "summary.json") || !fs::exists(run / "report.html")) return false;
  const std::string ended_by = read_summary(run).value("ended_by", "");
  return !ended_by.empty() && ended_by != "SIGINT" && ended_by != "SIGTERM";
}

}  // namespace fovea::apps
