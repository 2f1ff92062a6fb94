// SPDX-License-Identifier: Apache-2.0
#include "apps/repro.h"

#include <fmt/format.h>

#include <cmath>
#include <limits>
#include <nlohmann/json.hpp>

#include "apps/atomic_file.h"
#include "apps/checkpoint.h"
#include "apps/version.h"
#include "tensor/io.h"

namespace fovea::apps {
namespace fs = std::filesystem;
namespace {

using Json = nlohmann::ordered_json;

std::vector<std::int64_t> extents(const Shape& shape) { return {shape.begin(), shape.end()}; }
Shape shape_from(const nlohmann::json& json) { return Shape(json.get<std::vector<std::int64_t>>()); }

/// JSON has no word for these.
std::string value_text(double value) { return std::isnan(value) ? "nan" : value > 0 ? "inf" : "-inf"; }
double value_from(const std::string& text) {
  if (text == "nan") return std::numeric_limits<double>::quiet_NaN();
  return text == "-inf" ? -std::numeric_limits<double>::infinity() : std::numeric_limits<double>::infinity();
}

constexpr const char* kReadme =
    "A training step whose numbers were not finite, with all it takes to do it again: the settings, the "
    "state before\n"
    "it, and its batch. No data set is needed, and the folder may be copied to another machine.\n\n"
    "    fovea replay {}\n\n"
    "Found in step {} by {} on {}:\n{}\n";

}  // namespace

Json to_json(const NonFinite& finding) {
  Json operands = Json::array();
  for (const ValueRange& range : finding.operands)
    operands.push_back({{"name", range.name},
                        {"shape", extents(range.shape)},
                        {"least", range.least},
                        {"greatest", range.greatest},
                        {"not_finite", range.bad}});
  return {{"op", finding.op},
          {"module", finding.module},
          {"tensor", finding.tensor},
          {"shape", extents(finding.shape)},
          {"index", extents(finding.first.index)},
          {"value", value_text(finding.first.value)},
          {"operands", operands},
          {"text", finding.str()}};
}

NonFinite finding_from_json(const nlohmann::json& json) {
  NonFinite finding{json.at("op"),
                    json.at("module"),
                    json.at("tensor"),
                    shape_from(json.at("shape")),
                    {shape_from(json.at("index")), value_from(json.at("value"))},
                    {}};
  for (const auto& range : json.at("operands"))
    finding.operands.push_back({range.at("name"), shape_from(range.at("shape")), range.at("least"),
                                range.at("greatest"), range.at("not_finite")});
  return finding;
}

void write_repro(const fs::path& folder, const Config& config, const Device& device, const BadStep& bad) {
  const Json report{{"format", "fovea-repro-1"},
                    {"step", bad.step},
                    {"finding", to_json(bad.finding)},
                    {"model", config.text("model.name")},
                    {"seed", config.integer("train.seed")},
                    {"lr", bad.lr},
                    {"build_id", build_id()},
                    {"device", device.name()},
                    {"device_description", device.description()},
                    {"arithmetic", arithmetic_of(device)}};
  replace_folder(folder, [&](const fs::path& made) {
    const auto write = [&](const char* name, const std::string& text) { replace_file(made / name, text); };
    write("config.toml", config.to_toml());
    write_checkpoint(made / "weights.safetensors", bad.inputs.before);
    TensorMap batch{{"x", bad.inputs.batch.x}, {"target", bad.inputs.batch.target}};
    const std::vector<std::int64_t>& samples = bad.inputs.batch.samples;
    if (bad.inputs.batch.mask.defined()) batch.emplace("mask", bad.inputs.batch.mask);
    if (bad.inputs.batch.past.defined()) batch.emplace("past", bad.inputs.batch.past);
    batch.emplace("samples", Tensor::from(samples, {static_cast<std::int64_t>(samples.size())},
                                          Device::cpu({.threads = 1})));
    save_safetensors(made / "batch.safetensors", batch, {{"format", "fovea-batch-1"}});
    write("report.json", report.dump(2) + "\n");
    write("README.txt", fmt::format(kReadme, folder.string(), bad.step, build_id(), device.description(),
                                    bad.finding.str()));
  });
}

Repro read_repro(const fs::path& folder) {
  const fs::path report_file = folder / "report.json";
  if (!fs::exists(report_file) || !fs::exists(folder / "weights.safetensors"))
    throw IoError(
        fmt::format("{}: is not a bad step: it has no report.json and weights.safetensors (a run that stops "
                    "at a bad number writes RUN/repro)",
                    folder.string()));
  Repro repro;
  try {
    const auto report = nlohmann::json::parse(read_file(report_file));
    repro.finding = finding_from_json(report.at("finding"));
    repro.step = report.at("step");
    repro.device = report.at("device");
    repro.description = report.at("device_description");
  } catch (const nlohmann::json::exception& error) {
    throw IoError(fmt::format("{}: is damaged: {}", report_file.string(), error.what()));
  }
  repro.before = read_checkpoint(folder / "weights.safetensors");
  const fs::path batch_file = folder / "batch.safetensors";
  const Safetensors batch = load_safetensors(batch_file, Device::cpu({.threads = 1}));
  for (const char* name : {"x", "target", "samples"})
    if (!batch.tensors.contains(name))
      throw IoError(fmt::format("{}: tensor '{}' is missing", batch_file.string(), name));
  repro.batch = {batch.tensors.at("x"), batch.tensors.at("target"),
                 batch.tensors.at("samples").to_vector<std::int64_t>()};
  if (batch.tensors.contains("mask")) repro.batch.mask = batch.tensors.at("mask");
  if (batch.tensors.contains("past")) repro.batch.past = batch.tensors.at("past");
  return repro;
}

}  // namespace fovea::apps
