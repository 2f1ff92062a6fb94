// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <filesystem>
#include <nlohmann/json.hpp>
#include <string>
#include <utility>
#include <vector>

#include "bench/machine.h"
#include "bench/run_case.h"

namespace fovea::bench {

/// All that a run of the program has to tell.
struct Report {
  MachineFacts machine;
  Math math = Math::fp32;
  std::vector<std::pair<int, Ceilings>> ceilings_by_threads;       ///< of the host
  std::vector<std::pair<std::string, std::string>> peer_versions;  ///< or why one is not there
  std::vector<Entry> entries;
};

/// "2026-12-01", in Greenwich.
std::string today();

/// {"machine", "versions", "commit", "date", "math_mode", "cases": […]}; what was not measured is null. docs: bench/README.md
nlohmann::ordered_json to_json(const Report& report);
/// Writes the JSON whole or not at all. throws IoError
void save(const Report& report, const std::filesystem::path& path);

/// Head of the table, and a line of it.
std::string table_head();
std::string table_line(const Entry& entry);

}  // namespace fovea::bench
