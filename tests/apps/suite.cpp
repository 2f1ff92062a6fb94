// SPDX-License-Identifier: Apache-2.0
#include "apps/suite.h"

#include <doctest/doctest.h>

#include <algorithm>
#include <nlohmann/json.hpp>

#include "apps/atomic_file.h"
#include "apps/exit_code.h"
#include "apps/retina_suite.h"
#include "apps/run_folder.h"
#include "tests/apps/tiny_training.h"

namespace fovea::apps {
namespace fs = std::filesystem;
namespace {

SuiteRow row(const char* label, std::int64_t seed, std::vector<double> per_cell) {
  SuiteRow row{.name = label, .label = label, .stimulus = "natural", .test = "natural", .seed = seed};
  row.pearson = (per_cell[0] + per_cell[1]) / 2;
  row.ceiling = 0.9;
  row.seconds = 60;
  row.parameters = 7;
  row.pearson_per_cell = std::move(per_cell);
  row.ceiling_per_cell = {0.9, 0.9};
  return row;
}

bool met(const std::vector<Criterion>& criteria, const char* claim) {
  const auto found =
      std::find_if(criteria.begin(), criteria.end(), [&](const Criterion& c) { return c.claim == claim; });
  REQUIRE_MESSAGE(found != criteria.end(), claim);
  return found->met;
}

/// Two runs of a few steps on the tiny recording.
std::vector<SuiteRun> two_runs(const Bench& bench) {
  std::vector<SuiteRun> runs;
  for (const char* name : {"one", "two"}) {
    TrainOptions options;
    options.model = "ln";
    options.data = bench.data.string();
    options.set = {"model.history=4", "train.batch=4", "train.checkpoint_every=2"};
    options.device = "cpu";
    options.steps = 4;
    runs.push_back({name, options});
  }
  return runs;
}

}  // namespace

TEST_CASE("suite: scores are means over seeds, with errors over cells and over seeds") {
  const std::vector<ModelScore> scores =
      model_scores({row("null", 1, {0.0, 0.02}), row("LN", 1, {0.2, 0.4}), row("LN", 2, {0.4, 0.6})});
  REQUIRE(scores.size() == 2);
  CHECK(scores[0].label == "null");
  CHECK(scores[0].seeds == 1);
  CHECK(std::isnan(scores[0].seeds_sd));
  CHECK(scores[1].seeds == 2);
  CHECK(scores[1].per_cell[0] == doctest::Approx(0.3));
  CHECK(scores[1].mean == doctest::Approx(0.4));
  CHECK(scores[1].error == doctest::Approx(0.1));                    // of 0.3 and 0.5
  CHECK(scores[1].seeds_sd == doctest::Approx(std::sqrt(2) * 0.1));  // of 0.3 and 0.5
}

TEST_CASE("suite: what was claimed is held against what was measured") {
  SuiteResult result;
  result.rows = {row("null", 1, {0.0, 0.0}),     row("LN", 1, {0.4, 0.5}),      row("GLM", 1, {0.38, 0.51}),
                 row("NIPS-CNN", 1, {0.6, 0.7}), row("BN-CNN", 1, {0.7, 0.78}), row("convgc", 1, {0.7, 0.7}),
                 row("one-hot", 1, {0.67, 0.67})};
  const std::vector<Criterion> criteria = retina_criteria(result);
  CHECK(met(criteria, "null < LN"));
  CHECK(met(criteria, "LN ≤ GLM"));  // −0.005 ± 0.015
  CHECK(met(criteria, "GLM < NIPS-CNN"));
  CHECK(met(criteria, "NIPS-CNN ≤ BN-CNN"));
  CHECK(met(criteria, "BN-CNN reaches 0.80 of the ceiling"));
  CHECK_FALSE(met(criteria, "BN-CNN reaches 0.90 of the ceiling (aim)"));
  CHECK(met(criteria, "LN stays below 0.75 of the ceiling"));
  CHECK_FALSE(met(criteria, "one-hot is within 0.02 of convgc"));
  result.rows[2] = row("GLM", 1, {0.3, 0.4});
  CHECK_FALSE(met(retina_criteria(result), "LN ≤ GLM"));
}

TEST_CASE("suite: the page and the tables show every model and claim") {
  SuiteResult result{.minutes = 15,
                     .epochs = 6,
                     .seeds = 2,
                     .cells = {"cell 0, ON", "cell 1, OFF"},
                     .rows = {},
                     .curve = {},
                     .crossed = {},
                     .criteria = {{"A < B", "0.1, 0.2", true}, {"C is best", "0.3", false}}};
  result.rows = {row("LN", 1, {0.2, 0.4}), row("LN", 2, {0.4, 0.6}), row("BN-CNN", 1, {0.7, 0.78})};
  result.curve = {row("BN-CNN", 1, {0.5, 0.5})};
  result.crossed = {row("LN", 1, {0.1, 0.2})};
  const std::string tables = retina_suite_markdown(result), page = retina_suite_html(result);
  CHECK(tables.find("| LN | 7 | 2 | 0.400 | 0.100 | 0.141 | 44 % | 1.0 |") != std::string::npos);
  CHECK(tables.find("| BN-CNN | 0.700 | 0.780 |") != std::string::npos);
  CHECK(tables.find("| C is best | 0.3 | NO |") != std::string::npos);
  CHECK(page.find("<td>A &lt; B</td>") != std::string::npos);
  CHECK(page.find("<svg") != std::string::npos);
}

TEST_CASE("suite: finished runs are left alone, broken ones go on, missing ones are made") {
  const Bench bench;
  const fs::path folder = bench.run("runs");
  const std::vector<SuiteRun> runs = two_runs(bench);
  REQUIRE(train_all(runs, folder) == kDone);
  const std::string weights = read_file(folder / "two/checkpoints/step-4.safetensors");
  const auto before = fs::last_write_time(folder / "one/summary.json");
  fs::remove(folder / "two/checkpoints/step-4.safetensors");
  fs::remove(folder / "two/report.html");
  CHECK_FALSE(is_finished(folder / "two"));
  REQUIRE(train_all(runs, folder) == kDone);
  CHECK(fs::last_write_time(folder / "one/summary.json") == before);
  CHECK(read_file(folder / "two/checkpoints/step-4.safetensors") == weights);
  CHECK(is_finished(folder / "two"));
  replace_file(folder / "two/summary.json", R"({"ended_by": "SIGINT"})");
  CHECK_FALSE(is_finished(folder / "two"));
  CHECK_FALSE(is_finished(folder / "three"));
}

TEST_CASE("suite: what the command refuses") {
  const Bench bench;
  check_one_line(bench.fovea({"suite", "retnia"}), kWrongUsage, "did you mean 'retina'?");
  check_one_line(bench.fovea({"suite", "retina", "--minutes", "0.1"}), kWrongUsage,
                 "--minutes 0.1: expected a number from 0.5 to 600");
  check_one_line(bench.fovea({"suite", "retina", "--epochs", "0"}), kWrongUsage,
                 "--epochs 0 --seeds 3: each must be at least 1");
}

}  // namespace fovea::apps
