// SPDX-License-Identifier: Apache-2.0
#include "tests/apps/tiny_training.h"

#include <doctest/doctest.h>

#include <algorithm>
#include <sstream>

#include "apps/cli.h"
#include "apps/metrics_log.h"

namespace fovea::apps {
namespace fs = std::filesystem;

Outcome Bench::fovea(const std::vector<std::string>& arguments) const {
  std::ostringstream out, err;
  const int code = run_program(arguments, out, err);
  return {code, err.str()};
}

Outcome Bench::train(const fs::path& out, std::vector<std::string> more) const {
  std::vector<std::string> arguments{"train", "deep-retina",          "--data", data.string(),
                                     "--out", out.string(),           "--set",  "model.history=4",
                                     "--set", "model.channels=[2,2]", "--set",  "model.kernels=[21,15]",
                                     "--set", "train.batch=4",        "--set",  "train.log_every=1"};
  if (std::find(more.begin(), more.end(), "--device") == more.end())
    more.insert(more.end(), {"--device", "cpu"});
  arguments.insert(arguments.end(), more.begin(), more.end());
  return fovea(arguments);
}

std::vector<double> figures(const fs::path& run, const std::string& name) {
  std::vector<double> values;
  for (const MetricsRow& row : MetricsLog::read(run / "metrics.jsonl"))
    for (const auto& [key, value] : row.figures)
      if (key == name) values.push_back(value);
  return values;
}

void check_one_line(const Outcome& outcome, int code, const std::string& part) {
  CAPTURE(outcome.err);
  CHECK(outcome.code == code);
  CHECK(std::count(outcome.err.begin(), outcome.err.end(), '\n') == 1);
  CHECK(outcome.err.find(part) != std::string::npos);
}

}  // namespace fovea::apps
