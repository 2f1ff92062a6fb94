// SPDX-License-Identifier: Apache-2.0
#include "apps/metrics_log.h"

#include <fmt/format.h>

#include <cmath>
#include <fstream>
#include <limits>
#include <nlohmann/json.hpp>

#include "apps/atomic_file.h"
#include "tensor/errors.h"

namespace fovea::apps {
namespace {

using Json = nlohmann::ordered_json;

/// empty if the text is not a line of ours
std::optional<MetricsRow> parse(std::string_view text) {
  // Ours are flat: whatever is nested is dropped, so that its depth costs no memory.
  const auto flat = [](int depth, Json::parse_event_t, const Json&) { return depth <= 1; };
  const Json json = Json::parse(text, flat, /*allow_exceptions=*/false);
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

/// Whether a line of the file ends after so many bytes. No file is as good as an empty one.
bool ends_a_line(const std::filesystem::path& path, std::uint64_t bytes) {
  if (bytes == 0) return true;
  std::ifstream in(path, std::ios::binary);
  in.seekg(static_cast<std::streamoff>(bytes) - 1);
  return in.get() == '\n';
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

MetricsLog::MetricsLog(std::filesystem::path path, const LogEnd& end) {
  std::uint64_t keep = end.bytes;
  if (!ends_a_line(path, keep)) {
    changed_ = true;
    const std::string content = std::filesystem::exists(path) ? read_file(path) : std::string{};
    std::string kept;
    for (const Line& line : whole_lines(content, path))
      if (line.row.step <= end.step) kept.append(line.text) += '\n';
    replace_file(path, kept);
    keep = kept.size();
  }
  file_.emplace(std::move(path), keep);
}

std::vector<MetricsRow> MetricsLog::read(const std::filesystem::path& path) {
  std::vector<MetricsRow> rows;
  if (!std::filesystem::exists(path)) return rows;
  const std::string content = read_file(path);
  for (Line& line : whole_lines(content, path)) rows.push_back(std::move(line.row));
  return rows;
}

}  // namespace fovea::apps
