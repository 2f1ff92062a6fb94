// SPDX-License-Identifier: Apache-2.0
#include "tests/apps/tiny_training.h"

#include <doctest/doctest.h>

#include <algorithm>
#include <sstream>

#include "apps/cli.h"
#include "apps/metrics_log.h"
#include "models/retina/recording_file.h"

namespace fovea::apps {
namespace fs = std::filesystem;

void Bench::write_recording(std::vector<std::int64_t> blocks) const {
  const Device host = Device::cpu({.threads = 1});
  const auto uniform = [&](const Shape& shape, const char* stream, float low, float high) {
    return Tensor::uniform(shape, {9, philox::stream_id(stream), 0, nullptr}, low, high, host);
  };
  retina::RecordingData recording;
  recording.train_stimulus = uniform({1200, 50, 50}, "train", 0, 255).to(DType::u8);
  recording.train_rate = uniform({2, 1200}, "rate", 0, 30);
  recording.blocks = std::move(blocks);
  recording.test_stimulus = uniform({300, 50, 50}, "test", 0, 255).to(DType::u8);
  recording.test_rate = uniform({2, 300}, "test rate", 0, 30);
  recording.test_repeats = uniform({3, 2, 300}, "repeats", 0, 30);
  recording.test_true_rate = uniform({2, 300}, "true", 0, 30);
  retina::save_recording(data, recording);
}

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
