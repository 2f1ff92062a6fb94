// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstdint>
#include <filesystem>
#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "apps/metrics_log.h"

namespace fovea::apps {

/// A saved state of a run.
struct Checkpoint {
  std::int64_t step = 0;
  std::filesystem::path path;
};

/// Everything one run leaves behind:
///
///   config.toml      resolved settings        metrics.jsonl  figures by step
///   summary.json     final figures            report.html    pictures; report.json their numbers
///   checkpoints/     step-N.safetensors, with links `latest` and `best`
///   lock             held by the running process, with pid, host and start time
///
/// Writing needs a RunFolder, which holds the lock until it is destroyed (and then takes the folder away
/// again if nothing was written: a run that fails while loading its data leaves no trace); reading needs none
/// (see find_checkpoint). All errors are IoError or UsageError in one line; whatever fails, files are old and
/// whole or new and whole.
class RunFolder {
 public:
  /// Makes the folder if needed and takes it over. Without `resume` the folder must be absent or empty.
  /// With it, the run goes on from latest(); without a checkpoint from step 0.
  /// throws UsageError if it holds a run (names its owner) or foreign files, IoError if another process is
  /// running there (names it) or the folder cannot be written
  static RunFolder open(const std::filesystem::path& folder, bool resume);

  /// A folder `parent/name-1`, `name-2`, …: the first that does not exist yet.
  static RunFolder open_new(const std::filesystem::path& parent, std::string_view name);

  RunFolder(RunFolder&& other) noexcept;
  RunFolder& operator=(RunFolder&&) = delete;
  ~RunFolder();

  const std::filesystem::path& path() const { return path_; }
  MetricsLog& metrics() { return *metrics_; }
  /// Where the run goes on; empty: at step 0.
  std::optional<Checkpoint> latest() const;

  /// Puts the metrics on the disk, then saves atomically, moves the links, and prunes: kept are `latest`,
  /// `best` and the last two.
  ///
  /// write  fills the file it is given. Only weights and state belong in it: equal runs give equal files.
  /// check  reads the finished file again and throws if it is not what was meant; may be empty
  void save_checkpoint(std::int64_t step, const std::function<void(const std::filesystem::path&)>& write,
                       bool best, const std::function<void(const std::filesystem::path&)>& check = {});

  /// config.toml, summary.json, report.html: replaced as a whole.
  void write(std::string_view name, std::string_view content) const;

 private:
  RunFolder(std::filesystem::path path, int lock) : path_(std::move(path)), lock_(lock) {}

  std::filesystem::path path_;
  int lock_ = -1;
  bool made_by_us_ = false;
  std::unique_ptr<MetricsLog> metrics_;
};

/// which: "latest", "best", or a step as "1200". throws IoError if the run has none, listing those it has
Checkpoint find_checkpoint(const std::filesystem::path& run, std::string_view which);

}  // namespace fovea::apps
