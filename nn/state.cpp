// SPDX-License-Identifier: Apache-2.0
#include "nn/state.h"

#include <fmt/ranges.h>

#include <algorithm>
#include <vector>

namespace fovea::nn {
namespace {

/// Insertions, deletions and replacements that turn a into b (Levenshtein 1966).
std::size_t edit_distance(const std::string& a, const std::string& b) {
  std::vector<std::size_t> row(b.size() + 1);
  for (std::size_t j = 0; j <= b.size(); ++j) row[j] = j;
  for (std::size_t i = 1; i <= a.size(); ++i) {
    std::size_t diagonal = std::exchange(row[0], i);
    for (std::size_t j = 1; j <= b.size(); ++j) {
      const std::size_t replaced = diagonal + (a[i - 1] == b[j - 1] ? 0 : 1);
      diagonal = row[j];
      row[j] = std::min({row[j] + 1, row[j - 1] + 1, replaced});
    }
  }
  return row.back();
}

/// Empty if nothing is near: more than a third of the letters would have to change.
std::string nearest(const std::string& name, const std::vector<std::string>& candidates) {
  std::string best;
  std::size_t best_distance = std::max<std::size_t>(2, name.size() / 3) + 1;
  for (const std::string& candidate : candidates)
    if (const std::size_t distance = edit_distance(name, candidate); distance < best_distance) {
      best = candidate;
      best_distance = distance;
    }
  return best;
}

}  // namespace

void copy_state(const char* op, const State& into, const State& from) {
  std::vector<std::string> unexpected;
  for (const auto& [name, tensor] : from)
    if (!into.contains(name)) unexpected.push_back(name);

  std::vector<std::string> problems;
  for (const auto& [name, tensor] : into) {
    const auto found = from.find(name);
    if (found == from.end()) {
      const std::string near = nearest(name, unexpected);
      problems.push_back(fmt::format("'{}' {} is missing", name, tensor.shape()));
      if (!near.empty()) problems.back() += fmt::format(" (is '{}' meant?)", near);
    } else if (found->second.shape() != tensor.shape()) {
      problems.push_back(
          fmt::format("'{}' has shape {}, expected {}", name, found->second.shape(), tensor.shape()));
    }
  }
  for (const std::string& name : unexpected)
    problems.push_back(fmt::format("'{}' {} is not expected", name, from.at(name).shape()));
  if (!problems.empty()) reject<ValueError>(op, "{}", fmt::join(problems, "; "));

  // Converted and moved first, which takes memory; what then remains to be done cannot fail for want of it.
  std::vector<std::pair<const Tensor*, Tensor>> copies;
  for (const auto& [name, tensor] : into)
    copies.emplace_back(&tensor, from.at(name).to(tensor.device()).to(tensor.dtype()));
  for (const auto& [target, source] : copies) target->copy_from(source);
}

State without_prefix(const std::string& prefix, const State& state) {
  State result;
  for (const auto& [name, tensor] : state)
    if (name.starts_with(prefix)) result.emplace(name.substr(prefix.size()), tensor);
  return result;
}

State with_prefix(const std::string& prefix, const State& state) {
  State result;
  for (const auto& [name, tensor] : state) result.emplace(prefix + name, tensor);
  return result;
}

}  // namespace fovea::nn
