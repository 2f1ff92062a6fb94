// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstdint>
#include <filesystem>
#include <optional>
#include <string>
#include <utility>
#include <vector>

namespace fovea::apps {

/// Named figures of one step, in the order in which they are written.
using Figures = std::vector<std::pair<std::string, double>>;

/// {"step":120,"loss":0.71}\n — shortest digits that read back as the same double; null for nan and
/// infinities
std::string metrics_line(std::int64_t step, const Figures& figures);

/// One line of metrics.jsonl, read back. A null becomes nan.
struct MetricsRow {
  std::int64_t step = 0;
  Figures figures;
};

/// metrics.jsonl: one line per logged step, appended by a single write each, so that a reader following the
/// file and a crash see whole lines (but perhaps a torn last one).
class MetricsLog {
 public:
  /// keep_through: the step of the checkpoint the run goes on from; lines past it and a torn last line are
  /// dropped. Empty: the run starts at 0, all lines are dropped.
  /// throws IoError, also if a line before the last is not one of ours (names the line)
  MetricsLog(std::filesystem::path path, std::optional<std::int64_t> keep_through);
  ~MetricsLog();
  MetricsLog(const MetricsLog&) = delete;
  MetricsLog& operator=(const MetricsLog&) = delete;

  /// Log all of step N before the checkpoint of step N is saved: a resumed run would not write it again.
  void append(std::int64_t step, const Figures& figures);
  /// Waits until all lines are on the disk.
  void sync();

  /// Whole lines of the file; a torn last line is left out. An absent file has none.
  static std::vector<MetricsRow> read(const std::filesystem::path& path);

 private:
  std::filesystem::path path_;
  int fd_ = -1;
};

}  // namespace fovea::apps
