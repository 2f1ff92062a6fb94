// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstdint>
#include <filesystem>
#include <functional>
#include <memory>
#include <nlohmann/json_fwd.hpp>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "apps/checkpoint.h"
#include "apps/event_file.h"
#include "apps/metrics_log.h"

namespace fovea::apps {

/// Bytes of the two logs.
struct LogBytes {
  std::uint64_t metrics = 0, events = 0;
};

/// Everything one run leaves behind (docs/RUNS.md):
///
///   config.toml      resolved settings        metrics.jsonl  figures by step
///   summary.json     final figures            report.html    pictures; report.json their numbers
///   checkpoints/     step-N.safetensors, with links `latest` and `best`
///   events.out.tfevents.fovea                 the figures again, for TensorBoard
///   lock             held by the running process, with pid, host and start time
///
/// Writing needs a RunFolder, which holds the lock until it is destroyed (and then takes a new run away again
/// that has no checkpoint: one that fails while it starts leaves no trace); reading needs none
/// (see find_checkpoint). All errors are IoError or UsageError in one line; whatever fails, files are old and
/// whole or new and whole.
class RunFolder {
 public:
  /// Makes the folder if needed and takes it over. Without `resume` the folder must be absent or empty.
  /// With it, it must hold a run, if only one that was killed before its first checkpoint.
  /// throws UsageError if that is not so (names the owner), or if it holds foreign files; IoError if another
  /// process is running there (names it) or the folder cannot be written
  static RunFolder open(const std::filesystem::path& folder, bool resume);

  /// A folder `parent/name-1`, `name-2`, …: the first that does not exist yet.
  static RunFolder open_new(const std::filesystem::path& parent, std::string_view name);

  RunFolder(RunFolder&& other) noexcept;
  RunFolder& operator=(RunFolder&&) = delete;
  ~RunFolder();

  const std::filesystem::path& path() const { return path_; }

  /// Where a resumed run goes on: its newest checkpoint that `read` accepts, which throws IoError if it cannot.
  /// Newer ones are renamed to …unreadable, for another build to look at, each with a warning in one line.
  /// Empty: there is no checkpoint. throws IoError if there are some and none can be read
  std::optional<Checkpoint> newest_readable(const std::function<void(const Checkpoint&)>& read,
                                            std::vector<std::string>& warnings) const;
  /// Points `latest` at this checkpoint, and `best` at that of best_step (or here, if there is none): a run may
  /// have been killed before its links were moved. returns whether there was one
  bool repair_links(const Checkpoint& newest, std::int64_t best_step) const;

  /// throws IoError unless the disk has room for the checkpoints that are kept and the one being written
  void check_space(std::uint64_t checkpoint_bytes) const;

  /// Opens the logs where they were when the checkpoint of `step` was saved; what came later is dropped.
  /// returns a warning in one line for each log that was changed since
  std::vector<std::string> open_logs(std::int64_t step, const LogBytes& bytes);
  /// One step's figures, to metrics.jsonl and the event file. All of step N before the checkpoint of step N.
  void log(std::int64_t step, const Figures& figures);
  LogBytes log_bytes() const { return {metrics_->size(), events_->size()}; }

  /// Puts the logs on the disk, then saves atomically, moves the links, and prunes: kept are `latest`, `best`
  /// and the last two.
  ///
  /// write  fills the file it is given, and throws if what it reads back is not what it meant
  void save_checkpoint(std::int64_t step, const std::function<void(const std::filesystem::path&)>& write,
                       bool best);

  /// config.toml, summary.json, report.html: replaced as a whole.
  void write(std::string_view name, std::string_view content) const;

 private:
  RunFolder(std::filesystem::path path, int lock) : path_(std::move(path)), lock_(lock) {}
  void remove_own_files() const;

  std::filesystem::path path_;
  int lock_ = -1;
  bool made_by_us_ = false;  // the folder
  bool new_run_ = false;     // what is in it
  std::unique_ptr<MetricsLog> metrics_;
  std::unique_ptr<EventFile> events_;
};

/// summary.json of a run folder. throws IoError if there is none: the run has not ended
nlohmann::json read_summary(const std::filesystem::path& run);

/// Whether a run in this folder went to its end: it has its report, and no signal stopped it.
bool is_finished(const std::filesystem::path& run);

}  // namespace fovea::apps
