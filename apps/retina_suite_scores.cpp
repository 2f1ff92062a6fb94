// SPDX-License-Identifier: Apache-2.0
#include <fmt/format.h>

#include <algorithm>

#include "apps/retina_suite.h"
#include "nn/metrics/responses.h"

namespace fovea::apps {
namespace {

/// Mean over cells of a − b and its standard error.
nn::CellScores difference(const ModelScore& a, const ModelScore& b) {
  std::vector<double> values;
  for (std::size_t c = 0; c < std::min(a.per_cell.size(), b.per_cell.size()); ++c)
    values.push_back(a.per_cell[c] - b.per_cell[c]);
  return nn::summarize(std::move(values));
}

}  // namespace

std::vector<ModelScore> model_scores(const std::vector<SuiteRow>& rows) {
  std::vector<ModelScore> scores;
  for (std::size_t first = 0; first < rows.size();) {
    std::size_t last = first;
    while (last < rows.size() && rows[last].label == rows[first].label) ++last;
    ModelScore score{.label = rows[first].label, .per_cell = {}};
    std::vector<double> means, seconds;
    score.per_cell.assign(rows[first].pearson_per_cell.size(), 0.0);
    for (std::size_t k = first; k < last; ++k) {
      means.push_back(rows[k].pearson);
      score.seconds += rows[k].seconds / static_cast<double>(last - first);
      for (std::size_t c = 0; c < score.per_cell.size(); ++c)
        score.per_cell[c] += rows[k].pearson_per_cell.at(c) / static_cast<double>(last - first);
    }
    const nn::CellScores cells = nn::summarize(score.per_cell), seeds = nn::summarize(means);
    score.mean = cells.mean;
    score.error = cells.standard_error;
    score.seeds = static_cast<int>(last - first);
    score.seeds_sd = seeds.standard_error * std::sqrt(static_cast<double>(last - first));
    score.ceiling = rows[first].ceiling;
    score.parameters = rows[first].parameters;
    scores.push_back(std::move(score));
    first = last;
  }
  return scores;
}

std::vector<Criterion> retina_criteria(const SuiteResult& result) {
  const std::vector<ModelScore> scores = model_scores(result.rows);
  const auto of = [&](const char* label) {
    const auto found =
        std::find_if(scores.begin(), scores.end(), [&](const ModelScore& s) { return s.label == label; });
    return found == scores.end() ? nullptr : &*found;
  };
  std::vector<Criterion> criteria;
  const auto order = [&](const char* low, const char* high, bool strictly) {
    const ModelScore *a = of(low), *b = of(high);
    if (a == nullptr || b == nullptr) return;
    const nn::CellScores more = difference(*b, *a);
    criteria.push_back({fmt::format("{} {} {}", low, strictly ? "<" : "≤", high),
                        fmt::format("{:.3f}, {:.3f}; difference {:+.3f} ± {:.3f} (s.e.m. of the cells)",
                                    a->mean, b->mean, more.mean, more.standard_error),
                        strictly ? more.mean > 0 : more.mean >= -more.standard_error});
  };
  order("null", "LN", true);
  order("LN", "GLM", false);
  order("GLM", "NIPS-CNN", true);
  order("NIPS-CNN", "BN-CNN", false);
  if (const ModelScore* bn = of("BN-CNN")) {
    criteria.push_back(
        {"BN-CNN ≤ ceiling", fmt::format("{:.3f}, {:.3f}", bn->mean, bn->ceiling), bn->mean <= bn->ceiling});
    const double share = bn->mean / bn->ceiling;
    criteria.push_back({"BN-CNN reaches 0.80 of the ceiling", fmt::format("{:.3f}", share), share >= 0.80});
    criteria.push_back(
        {"BN-CNN reaches 0.90 of the ceiling (aim)", fmt::format("{:.3f}", share), share >= 0.90});
  }
  if (const ModelScore* ln = of("LN"))
    criteria.push_back({"LN stays below 0.75 of the ceiling", fmt::format("{:.3f}", ln->mean / ln->ceiling),
                        ln->mean <= 0.75 * ln->ceiling});
  for (const SuiteRow& row : result.crossed)
    if (row.label == "BN-CNN" && row.stimulus == "white noise" && row.test == row.stimulus)
      criteria.push_back({"BN-CNN on white noise reaches 0.75 of the ceiling",
                          fmt::format("{:.3f}", row.pearson / row.ceiling),
                          row.pearson >= 0.75 * row.ceiling});
  if (const ModelScore* a = of("one-hot"), *b = of("convgc"); a != nullptr && b != nullptr)
    criteria.push_back({"one-hot is within 0.02 of convgc", fmt::format("{:+.3f}", a->mean - b->mean),
                        std::abs(a->mean - b->mean) <= 0.02});
  return criteria;
}

}  // namespace fovea::apps
