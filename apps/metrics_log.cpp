// SPDX-License-Identifier: Apache-2.0
#include "apps/metrics_log.h"

#include <fcntl.h>
#include <fmt/format.h>
#include <unistd.h>

#include <cerrno>
#include <cmath>
#include <cstring>
#include <limits>
#include <nlohmann/json.hpp>

#include "apps/atomic_file.h"
#include "tensor/errors.h"

namespace fovea::apps {
namespace {

[[noreturn]] void fail(const std::filesystem::path& path, std::string_view what) {
  throw IoError(fmt::format("{}: cannot {}: {}", path.string(), what, std::strerror(errno)));
}

/// empty if the text is not a line of ours
std::optional<MetricsRow> parse(std::string_view text) {
  const auto json = nlohmann::ordered_json::parse(text, nullptr, /*allow_exceptions=*/false);
  if (!json.is_object() || !json.contains("step") || !json["step"].is_number_integer()) return std::nullopt;
  MetricsRow row{json["step"].get<std::int64_t>(), {}};
  for (const auto& [name, value] : json.items()) {
    if (name == "step") continue;
    if (!value.is_number() && !value.is_null()) return std::nullopt;
    row.figures.emplace_back(
        name, value.is_null() ? std::numeric_limits<double>::quiet_NaN() : value.get<double>());
  }
  return row;
}

struct Line {
  std::string_view text;  ///< without the newline
  MetricsRow row;
};

/// The whole lines of `content`; only the last may be torn.
std::vector<Line> whole_lines(std::string_view content, const std::filesystem::path& path) {
  std::vector<Line> lines;
  while (!content.empty()) {
    const auto end = content.find('\n');
    if (end == std::string_view::npos) break;
    const std::string_view text = content.substr(0, end);
    content.remove_prefix(end + 1);
    std::optional<MetricsRow> row = parse(text);
    // Blocks of a file can reach the disk out of order: a last line with its newline may still be torn.
    if (!row && content.empty()) break;
    if (!row)
      throw IoError(fmt::format("{}:{}: not a line of figures; the file was changed by another program",
                                path.string(), lines.size() + 1));
    lines.push_back({text, *std::move(row)});
  }
  return lines;
}

}  // namespace

std::string metrics_line(std::int64_t step, const Figures& figures) {
  std::string line = fmt::format("{{\"step\":{}", step);
  for (const auto& [name, value] : figures) {
    line += fmt::format(",{}:", nlohmann::json(name).dump());
    line += std::isfinite(value) ? fmt::format("{}", value) : "null";
  }
  return line + "}\n";
}

MetricsLog::MetricsLog(std::filesystem::path path, std::optional<std::int64_t> keep_through)
    : path_(std::move(path)) {
  if (std::filesystem::exists(path_)) {
    const std::string content = keep_through ? read_file(path_) : std::string{};
    std::string kept;
    for (const Line& line : whole_lines(content, path_))
      if (keep_through && line.row.step <= *keep_through) kept.append(line.text) += '\n';
    replace_file(path_, kept);
  }
  fd_ = ::open(path_.c_str(), O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC, 0666);
  if (fd_ < 0) fail(path_, "write");
}

MetricsLog::~MetricsLog() { ::close(fd_); }

void MetricsLog::append(std::int64_t step, const Figures& figures) {
  const std::string line = metrics_line(step, figures);
  const ssize_t count = ::write(fd_, line.data(), line.size());
  if (count < 0) fail(path_, "write");
  if (static_cast<std::size_t>(count) != line.size()) {  // the disk is full: what was written is a torn line
    errno = ENOSPC;
    fail(path_, "write");
  }
}

void MetricsLog::sync() {
  if (::fsync(fd_) != 0) fail(path_, "write to the disk");
}

std::vector<MetricsRow> MetricsLog::read(const std::filesystem::path& path) {
  std::vector<MetricsRow> rows;
  if (!std::filesystem::exists(path)) return rows;
  const std::string content = read_file(path);
  for (Line& line : whole_lines(content, path)) rows.push_back(std::move(line.row));
  return rows;
}

}  // namespace fovea::apps
