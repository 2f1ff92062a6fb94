// SPDX-License-Identifier: Apache-2.0
#include <doctest/doctest.h>

#include <algorithm>
#include <nlohmann/json.hpp>

#include "apps/atomic_file.h"
#include "apps/deep_retina_model.h"
#include "apps/exit_code.h"
#include "apps/retina_models.h"
#include "apps/run_folder.h"
#include "tests/apps/tiny_training.h"

namespace fovea::apps {
namespace fs = std::filesystem;
namespace {

const std::vector<std::string> kSmallKernels{"--set", "model.kernels=[21,15]", "--set",
                                             "model.readout_kernel=9"};

/// `fovea train deep-retina --preset …` in little: four steps on the tiny recording.
Outcome train_form(const Bench& bench, const fs::path& out, const char* preset,
                   std::vector<std::string> more = {}) {
  std::vector<std::string> all{
      "--preset", preset, "--steps", "4", "--set", "train.eval_every=2", "--set", "train.checkpoint_every=2"};
  all.insert(all.end(), kSmallKernels.begin(), kSmallKernels.end());
  all.insert(all.end(), more.begin(), more.end());
  return bench.train(out, all);
}

std::int64_t parameters(const Config& config, std::int64_t cells) {
  return make_retina_model(config, cells, Device::cpu({.threads = 1}))->parameter_count();
}

}  // namespace

TEST_CASE("each preset of deep retina is the network it names") {
  const ModelEntry& entry = find_model("deep-retina");
  const std::vector<std::pair<const char*, std::int64_t>> expected{
      {"demo", 138362},          {"bn-cnn", 138362},     {"bn-cnn-channel", 106842}, {"nips-2016", 185757},
      {"stacked", 67834},        {"convgc", 14114},      {"one-hot", 85964},         {"one-hot-wide", 88699},
      {"one-hot-shared", 85964}, {"simple-cnn", 106784}, {"ss-cnn", 138357}};
  CHECK(entry.presets.size() == expected.size());
  for (const auto& [preset, count] : expected) {
    CAPTURE(preset);
    Config config = default_config(entry);
    for (const auto& [key, value] : find_preset(entry, preset).settings) config.set(key, value, "preset");
    CHECK(parameters(config, 5) == count);
  }
}

TEST_CASE("a model with fixed cells finds its receptive fields in the data and keeps them") {
  const Bench bench;
  const fs::path whole = bench.run("whole"), broken = bench.run("broken");
  REQUIRE(train_form(bench, whole, "convgc").code == kDone);
  const Config config = read_run_config(whole);
  CHECK(config.integers("model.centres").size() == 4);
  CHECK(fs::exists(whole / "report.html"));
  CHECK(bench.fovea({"eval", whole.string(), "--device", "cpu"}).code == kDone);

  fs::copy(whole, broken, fs::copy_options::recursive | fs::copy_options::copy_symlinks);
  for (const char* file : {"checkpoints/step-4.safetensors", "summary.json", "report.json", "report.html"})
    fs::remove(broken / file);
  REQUIRE(
      bench.fovea({"train", "deep-retina", "--resume", "--out", broken.string(), "--device", "cpu"}).code ==
      kDone);
  CHECK(read_file(broken / "checkpoints/step-4.safetensors") ==
        read_file(whole / "checkpoints/step-4.safetensors"));

  const Outcome set = train_form(bench, bench.run("set"), "convgc", {"--set", "model.centres=[3,4,30,20]"});
  REQUIRE(set.code == kDone);
  CHECK(read_run_config(bench.run("set")).integers("model.centres") ==
        std::vector<std::int64_t>{3, 4, 30, 20});
  check_one_line(train_form(bench, bench.run("new"), "convgc", {"--set", "model.centres=[3,4,30]"}),
                 kWrongUsage,
                 "model.centres: expected row and column for each of 2 cells, each 0 to 49, got [3, 4, 30]");
  check_one_line(train_form(bench, bench.run("new"), "convgc", {"--set", "model.centres=[3,4,30,50]"}),
                 kWrongUsage, "model.centres: expected row and column for each of 2 cells");
}

TEST_CASE("cells of a one-hot run can share filters") {
  const Bench bench;
  const fs::path one_hot = bench.run("one-hot"), shared = bench.run("shared");
  REQUIRE(train_form(bench, one_hot, "one-hot").code == kDone);
  const std::vector<std::string> from{"--set", "model.share_from=" + one_hot.string(), "--set",
                                      "model.share_above=-1"};
  const Outcome outcome = train_form(bench, shared, "one-hot-shared", from);
  REQUIRE_MESSAGE(outcome.code == kDone, outcome.err);
  CHECK(read_run_config(shared).integers("model.filter_of_cell") == std::vector<std::int64_t>{0, 0});
  fs::remove_all(one_hot);
  fs::remove(shared / "checkpoints/step-4.safetensors");
  CHECK(bench.fovea({"train", "deep-retina", "--resume", "--out", shared.string(), "--device", "cpu"}).code ==
        kDone);

  REQUIRE(train_form(bench, bench.run("dense"), "bn-cnn", {"--set", "train.batch=4"}).code == kDone);
  const fs::path dense = bench.run("dense");
  check_one_line(
      train_form(bench, bench.run("new"), "one-hot-shared", {"--set", "model.share_from=" + dense.string()}),
      kWrongUsage, ": expected a run of deep-retina with model.readout=one-hot and a filter for each cell");
}

TEST_CASE("milestones are counted in epochs, and decay can be for all parameters or for kernels") {
  const Bench bench;
  const fs::path run = bench.run("run");
  REQUIRE(bench
              .train(run, {"--epochs", "3", "--set", "train.batch=400", "--set", "train.log_every=1", "--set",
                           "optim.lr=0.1", "--set", "optim.schedule=milestones", "--set",
                           "optim.schedule_milestones=[1,2]", "--set", "optim.schedule_factor=0.1"})
              .code == kDone);
  const std::vector<double> lr = figures(run, "lr");
  REQUIRE(lr.size() == 6);  // two batches of 400 an epoch
  for (std::size_t k = 0; k < 6; ++k) CHECK(lr[k] == doctest::Approx(std::vector{0.1, 0.01, 0.001}[k / 2]));
  std::vector<std::string> weights;
  for (const char* decays : {"weights", "convolutions", "all"}) {
    const fs::path out = bench.run(decays);
    REQUIRE(bench
                .train(out, {"--steps", "2", "--set", "optim.weight_decay=1", "--set",
                             std::string("optim.decays=") + decays})
                .code == kDone);
    weights.push_back(read_file(out / "checkpoints/step-2.safetensors"));
  }
  CHECK(weights[0] != weights[1]);
  CHECK(weights[0] != weights[2]);
  CHECK(weights[1] != weights[2]);
}

}  // namespace fovea::apps
