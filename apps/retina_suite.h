// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cmath>
#include <cstdint>
#include <string>
#include <vector>

#include "apps/suite.h"

namespace fovea::apps {

/// What one training of the retina suite came to.
struct SuiteRow {
  std::string name;      ///< of the run
  std::string label;     ///< of the model: "BN-CNN"
  std::string stimulus;  ///< it was trained on
  std::string test;      ///< it was tested on
  std::int64_t seed = 1;
  double minutes = 0;
  std::int64_t parameters = 0;
  double seconds = 0;
  double pearson = std::nan(""), explained_variance = std::nan(""), ceiling = std::nan("");
  std::vector<double> pearson_per_cell = {}, ceiling_per_cell = {};
};

/// All of the suite, for summary.json, the page and the table.
struct SuiteResult {
  double minutes = 0;
  std::int64_t epochs = 0, seeds = 0;
  std::vector<std::string> cells;  ///< "cell 0, fast OFF"
  std::vector<SuiteRow> rows;      ///< in the order of the models, seeds next to one another
  std::vector<SuiteRow> curve;     ///< BN-CNN by length of the recording
  std::vector<SuiteRow> crossed;   ///< trained on one stimulus, tested on both
  std::vector<Criterion> criteria;
  double seconds = 0;
};

/// Scores of one model over its seeds.
struct ModelScore {
  std::string label;
  std::vector<double> per_cell;    ///< means over the seeds
  double mean = std::nan("");      ///< of the cells
  double error = std::nan("");     ///< standard error over the cells
  double seeds_sd = std::nan("");  ///< standard deviation of the mean over the seeds; nan for one
  double ceiling = std::nan("");
  std::int64_t parameters = 0;
  double seconds = 0;  ///< of one training
  int seeds = 0;
};
/// One for each model of the rows, in their order.
std::vector<ModelScore> model_scores(const std::vector<SuiteRow>& rows);

/// The claims that the suite was made for, by its figures.
std::vector<Criterion> retina_criteria(const SuiteResult& result);

std::string retina_suite_html(const SuiteResult& result);
/// The same tables as Markdown.
std::string retina_suite_markdown(const SuiteResult& result);

}  // namespace fovea::apps
