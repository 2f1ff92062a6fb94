// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstdint>
#include <filesystem>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "apps/append_file.h"

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

/// Where a log stood when a checkpoint was saved.
struct LogEnd {
  std::int64_t step = 0;
  std::uint64_t bytes = 0;
};

/// metrics.jsonl: one line per logged step.
class MetricsLog {
 public:
  /// Goes on where `end` says; what came later, and a torn last line, is dropped. If the file is not what it
  /// was then, lines past end.step are dropped, and changed() tells.
  /// throws IoError, also if a line of such a file before the last is not one of ours (names the line)
  MetricsLog(std::filesystem::path path, const LogEnd& end);

  /// Log all of step N before the checkpoint of step N is saved: a resumed run would not write it again.
  void append(std::int64_t step, const Figures& figures) { file_->append(metrics_line(step, figures)); }
  void sync() const { file_->sync(); }
  std::uint64_t size() const { return file_->size(); }
  bool changed() const { return changed_; }

  /// Whole lines of the file; a torn last line is left out. An absent file has none.
  static std::vector<MetricsRow> read(const std::filesystem::path& path);

 private:
  std::optional<AppendFile> file_;
  bool changed_ = false;
};

}  // namespace fovea::apps
