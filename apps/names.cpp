// SPDX-License-Identifier: Apache-2.0
#include "apps/names.h"

#include <fmt/format.h>

#include <algorithm>
#include <numeric>

namespace fovea::apps {

int edit_distance(std::string_view a, std::string_view b) {
  std::vector<int> before(b.size() + 1), above(b.size() + 1), row(b.size() + 1);
  std::iota(above.begin(), above.end(), 0);
  for (std::size_t i = 1; i <= a.size(); ++i) {
    row[0] = static_cast<int>(i);
    for (std::size_t j = 1; j <= b.size(); ++j) {
      const int replaced = above[j - 1] + (a[i - 1] == b[j - 1] ? 0 : 1);
      row[j] = std::min({above[j] + 1, row[j - 1] + 1, replaced});
      if (i > 1 && j > 1 && a[i - 1] == b[j - 2] && a[i - 2] == b[j - 1])
        row[j] = std::min(row[j], before[j - 2] + 1);
    }
    before.swap(above);
    above.swap(row);
  }
  return above[b.size()];
}

std::optional<std::string> nearest_name(std::string_view wrong, const std::vector<std::string>& names) {
  const std::string* best = nullptr;
  int best_distance = 0;
  for (const std::string& name : names) {
    const int distance = edit_distance(wrong, name);
    if (best == nullptr || distance < best_distance) {
      best = &name;
      best_distance = distance;
    }
  }
  if (best != nullptr && 3 * best_distance <= static_cast<int>(std::max(wrong.size(), best->size())))
    return *best;
  for (const std::string& name : names) {
    const std::string_view last = std::string_view(name).substr(name.rfind('.') + 1);
    if (edit_distance(wrong, last) <= (wrong.size() > 3 ? 1 : 0)) return name;
  }
  if (wrong.size() >= 3) {
    for (const std::string& name : names) {
      if (name.find(wrong) != std::string::npos) return name;
    }
  }
  return std::nullopt;
}

std::string did_you_mean(std::string_view wrong, const std::vector<std::string>& names) {
  const std::optional<std::string> name = nearest_name(wrong, names);
  return name ? fmt::format("; did you mean '{}'?", *name) : std::string{};
}

}  // namespace fovea::apps
