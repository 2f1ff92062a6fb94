// SPDX-License-Identifier: Apache-2.0
// train.math from the command line to the summary.
#include <doctest/doctest.h>

#include <cmath>
#include <map>
#include <nlohmann/json.hpp>

#include "apps/atomic_file.h"
#include "apps/exit_code.h"
#include "apps/run_device.h"
#include "apps/run_folder.h"
#include "tests/apps/tiny_training.h"

namespace fovea::apps {
namespace {

using test::has;
namespace fs = std::filesystem;

std::string arithmetic(const fs::path& run) {
  return nlohmann::json::parse(read_file(run / "summary.json")).at("arithmetic");
}

Config with_math(const char* math) {
  Config config(shared_keys());
  config.set("train.math", std::string(math), "test");
  return config;
}

}  // namespace

TEST_CASE("a training in tf32 or bf16 begins as in fp32, within the mode's roundoff, and says what it is") {
  const Bench bench;
  std::map<std::string, std::vector<double>> losses;
  for (const char* math : {"fp32", "tf32", "bf16"}) {
    const fs::path run = bench.run(math);
    const std::string setting = std::string("train.math=") + math;
    REQUIRE(bench.train(run, {"--device", "simt", "--steps", "2", "--set", setting}).code == kDone);
    losses[math] = figures(run, "loss");
    REQUIRE(losses[math].size() == 2);
    CHECK(arithmetic(run) == (math == std::string("fp32") ? "simt" : std::string("simt ") + math));
  }
  const double exact = losses["fp32"][0];
  for (const char* math : {"tf32", "bf16"}) {
    CAPTURE(std::string(math));
    const double roundoff = math == std::string("tf32") ? 0x1p-11 : 0x1p-8;
    CHECK(losses[math][0] != exact);
    CHECK(std::abs(losses[math][0] - exact) <= 4 * roundoff * std::abs(exact));
  }
}

TEST_CASE("a training cannot have tf32 or bf16 on the cpu, but a run that had it can be looked at there") {
  const Bench bench;
  const fs::path run = bench.run("run");
  check_one_line(
      bench.train(run, {"--steps", "1", "--set", "train.math=bf16"}), kWrongUsage,
      "train.math = bf16 is for GPUs, and the cpu multiplies in fp32 only; give --device cuda (or simt, its "
      "emulation), or --set train.math=fp32");
  CHECK(!fs::exists(run));
  check_one_line(bench.train(run, {"--steps", "1", "--set", "train.math=fp16"}), kWrongUsage, "train.math");
  REQUIRE(bench.train(run, {"--device", "simt", "--steps", "1", "--set", "train.math=bf16"}).code == kDone);
  CHECK(bench.fovea({"eval", run.string(), "--device", "cpu"}).code == kDone);
  CHECK(viewing_device("cpu", with_math("tf32")).math() == Math::fp32);
  CHECK(viewing_device("simt", with_math("tf32")).math() == Math::tf32);
  CHECK(training_device("simt", with_math("bf16")).description() == "simt bf16");
  CHECK(training_device("cpu", with_math("fp32")).kind() == DeviceKind::cpu);
}

}  // namespace fovea::apps
