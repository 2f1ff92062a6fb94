// SPDX-License-Identifier: Apache-2.0
#include "apps/explain.h"

#include <doctest/doctest.h>

#include <algorithm>
#include <cmath>
#include <filesystem>
#include <nlohmann/json.hpp>

#include "apps/atomic_file.h"
#include "apps/exit_code.h"
#include "apps/model_list.h"
#include "apps/run_state.h"
#include "tests/apps/tiny_training.h"

namespace fovea::apps {
namespace {

Config small(const char* model, std::int64_t batch) {
  Config config = default_config(find_model(model));
  config.set("model.history", std::int64_t{10}, "test");
  if (std::string_view(model) == "deep-retina") {
    config.set("model.channels", std::vector<std::int64_t>{4, 4}, "test");
    config.set("model.kernels", std::vector<std::int64_t>{7, 5}, "test");
  }
  config.set("train.batch", batch, "test");
  return config;
}

/// What one real step of this batch had alive at most.
std::int64_t measured_peak(const Config& config) {
  const Device device = Device::cpu();
  const Trainable trainable = make_trainable(config, device);
  nn::Optimizer optimizer = make_optimizer(config, *trainable.module);
  device.arena().reset_peak();
  const nn::Batch batch = blank_batch(config, device);
  Tape tape({1, 0});
  tape.backward(trainable.loss(tape, batch).total);
  optimizer.step();
  return static_cast<std::int64_t>(device.arena().stats().peak_bytes);
}

std::size_t count(const std::string& text, const std::string& part) {
  std::size_t found = 0;
  for (std::size_t at = text.find(part); at != std::string::npos; at = text.find(part, at + 1)) ++found;
  return found;
}

}  // namespace

TEST_CASE("a plan predicts the peak of a step within ten per cent, from two small steps") {
  for (const char* model : {"deep-retina", "ln"})
    for (const std::int64_t batch : {1, 3, 7, 8, 32, 45, 100}) {
      CAPTURE(std::string(model));
      CAPTURE(batch);
      const Config config = small(model, batch);
      const MemoryPlan plan = plan_memory(config, standard_probe(config), Device::cpu());
      const auto measured = static_cast<double>(measured_peak(config));
      CHECK(std::abs(static_cast<double>(plan.peak) - measured) <= 0.1 * measured);
      CHECK(plan.batch == batch);
      CHECK(plan.gradients > 0);
      CHECK(plan.moments == 2 * plan.gradients);
      CHECK(plan.largest_batch.value_or(1) >= batch);
      const MemoryPlan two = plan_memory(config, standard_probe(config), Device::cpu(), 2);
      CHECK(std::abs(two.data - 2 * plan.data) <= 1);
      CHECK(two.peak > plan.peak);
    }
}

TEST_CASE("the largest batch fits, and a larger one is refused by name") {
  Config config = small("deep-retina", 64);
  config.set("train.memory_mib", std::int64_t{4}, "test");
  const MemoryPlan plan = plan_memory(config, standard_probe(config), Device::cpu());
  REQUIRE(plan.largest_batch);
  CHECK_FALSE(plan.fits());
  CHECK(*plan.largest_batch > 0);
  CHECK(*plan.largest_batch < 64);
  std::string text;
  try {
    check_fits(plan);
  } catch (const IoError& error) {
    text = error.what();
  }
  CHECK(text ==
        fmt::format("train.batch = 64 needs {}, and 4.0 MiB are there for it; the largest that fits is --set "
                    "train.batch={}",
                    size_text(plan.peak), *plan.largest_batch));
  config.set("train.batch", *plan.largest_batch, "test");
  CHECK(static_cast<double>(measured_peak(config)) < 1.1 * (4 << 20));
  config.set("train.memory_mib", std::int64_t{1}, "test");
  config.set("optim.name", std::string("sgd"), "test");
  config.set("model.channels", std::vector<std::int64_t>{64, 64}, "test");
  const MemoryPlan none = plan_memory(config, standard_probe(config), Device::simt());
  CHECK(none.largest_batch == 0);
  CHECK(none.moments == 0);
  CHECK(none.str().ends_with("planned on the cpu, as the emulation would take minutes"));
  CHECK_THROWS_WITH_AS(check_fits(none), doctest::Contains("not even one sample fits"), IoError);
  CHECK_NOTHROW(check_fits(MemoryPlan{}));  // nothing is known of the device
}

TEST_CASE("sizes in words") {
  CHECK(size_text(12) == "12 B");
  CHECK(size_text(2048) == "2 KiB");
  CHECK(size_text(3 << 19) == "1.5 MiB");
  CHECK(size_text(std::int64_t{5} << 30) == "5.0 GiB");
  CHECK(flops_text(12) == "12 FLOP");
  CHECK(flops_text(1.25e4) == "12.5 kFLOP");
  CHECK(flops_text(3e12) == "3.0 TFLOP");
}

TEST_CASE("explain: text, json, dot and svg tell the same tape") {
  const StepReport report = explain_step(small("deep-retina", 3), Device::cpu());
  const auto json = nlohmann::json::parse(explain_json(report));
  REQUIRE(json.at("ops").size() == report.ops.size());
  CHECK(json.at("batch") == 3);
  CHECK(json.at("ops")[0].at("op") == "conv2d");
  CHECK(json.at("ops")[0].at("module") == "conv1");
  CHECK(json.at("ops")[0].at("kept")[1].at("memory") == "conv1.weight");
  CHECK(json.at("kept_bytes") == report.kept_bytes());
  CHECK(report.memory.kept == report.kept_bytes());
  CHECK(json.at("flops").get<double>() > 2.0 * 3 * 4 * 44 * 44 * 10 * 49);
  CHECK(json.at("parameters") == report.parameters);

  const std::string text = explain_text(report), dot = explain_dot(report), svg = explain_svg(report);
  CHECK(text.find("conv2d in conv1") != std::string::npos);
  CHECK(text.find("(conv1.weight)") != std::string::npos);
  CHECK(text.find("[autograd/ops/conv2d.h:") != std::string::npos);
  CHECK(text.find("memory: weights ") != std::string::npos);
  for (const ExplainedOp& op : report.ops) {
    CHECK(dot.find(fmt::format("n{} [label=\"{}", op.id, op.op)) != std::string::npos);
    CHECK(svg.find(fmt::format(">{}</tspan>", op.op)) != std::string::npos);
  }
  CHECK(dot.starts_with("digraph step {"));
  CHECK(count(dot, "\"") % 2 == 0);
  CHECK(dot.find("\"conv1.weight\" -> n") != std::string::npos);
  CHECK(count(svg, "<g>") == report.ops.size());
  CHECK(count(svg, "<g>") == count(svg, "</g>"));
  CHECK(svg.find("prefers-color-scheme:dark") != std::string::npos);
}

TEST_CASE("fovea explain and its mistakes") {
  const Bench bench;
  const auto file = bench.folder.path() / "tape.svg";
  const std::vector<std::string> settings{"--set", "model.history=10",  "--set",    "model.channels=4,4",
                                          "--set", "model.kernels=7,5", "--device", "cpu"};
  const auto explain = [&](std::vector<std::string> more) {
    std::vector<std::string> all{"explain", "deep-retina"};
    all.insert(all.end(), settings.begin(), settings.end());
    all.insert(all.end(), more.begin(), more.end());
    return bench.fovea(all);
  };
  REQUIRE(explain({"--batch", "2", "--format", "svg", "--out", file.string()}).code == kDone);
  CHECK(read_file(file).starts_with("<svg"));
  REQUIRE(explain({"--json", "--batch", "2", "--out", file.string()}).code == kDone);
  CHECK(nlohmann::json::parse(read_file(file)).at("batch") == 2);
  CHECK(explain({"--batch", "2", "--format", "dot", "--out", file.string(), "--device", "simt"}).code !=
        kDone);  // twice
  check_one_line(bench.fovea({"explain", "deep-retinq"}), kWrongUsage, "did you mean 'deep-retina'?");
  check_one_line(explain({"--format", "png"}), kWrongUsage, "png");
  check_one_line(explain({"--batch", "0"}), kWrongUsage, "train.batch");
  check_one_line(explain({"--set", "train.memory_mib=4"}), kFailed,
                 "the largest that fits is --set train.batch=");
}

TEST_CASE("a run that cannot fit stops before step 0 and leaves nothing") {
  const Bench bench;
  check_one_line(bench.train(bench.run("run"),
                             {"--steps", "2", "--set", "train.memory_mib=1", "--set", "train.batch=64"}),
                 kFailed, "train.batch = 64 needs ");
  CHECK_FALSE(std::filesystem::exists(bench.run("run") / "config.toml"));
  CHECK_FALSE(std::filesystem::exists(bench.run("run") / "checkpoints" / "latest"));
}

}  // namespace fovea::apps
