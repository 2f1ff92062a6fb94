// SPDX-License-Identifier: Apache-2.0
// train.last_batch: runs whose samples do not divide into batches.
#include <doctest/doctest.h>

#include <numeric>

#include "apps/atomic_file.h"
#include "apps/checkpoint.h"
#include "apps/exit_code.h"
#include "apps/memory_plan.h"
#include "apps/model_list.h"
#include "apps/replay.h"
#include "apps/run_folder.h"
#include "tests/apps/tiny_training.h"
#include "tests/host.h"

namespace fovea::apps {
namespace fs = std::filesystem;
namespace {

/// An LN model in batches of 500 of the 1100 or so samples of the tiny recording.
Outcome train_ln(const Bench& bench, const fs::path& out, const std::vector<std::string>& more) {
  std::vector<std::string> arguments{"train", "ln",         "--data",   bench.data.string(),
                                     "--out", out.string(), "--device", "cpu"};
  for (const char* setting : {"train.batch=500", "model.history=4", "train.checkpoint_every=2",
                              "train.log_every=1", "model.activity_l1=0.001"})
    arguments.insert(arguments.end(), {"--set", setting});
  arguments.insert(arguments.end(), more.begin(), more.end());
  return bench.fovea(arguments);
}

}  // namespace

TEST_CASE("a padded run sees every sample, and goes on within an epoch to the same bits") {
  const Bench bench;
  const fs::path dropped = bench.run("dropped"), whole = bench.run("whole"), broken = bench.run("broken");
  REQUIRE(train_ln(bench, dropped, {"--epochs", "2"}).code == kDone);
  CHECK(figures(dropped, "loss").size() == 4);
  const std::vector<std::string> padded{"--epochs", "2", "--set", "train.last_batch=pad"};
  REQUIRE(train_ln(bench, whole, padded).code == kDone);
  CHECK(figures(whole, "loss").size() == 6);  // the third and the sixth batch are padded
  CHECK(figures(whole, "loss")[0] == figures(dropped, "loss")[0]);
  CHECK(read_run_config(whole).text("train.last_batch") == "pad");

  fs::copy(whole, broken, fs::copy_options::recursive | fs::copy_options::copy_symlinks);
  for (const char* name : {"checkpoints/step-6.safetensors", "summary.json", "report.json", "report.html"})
    fs::remove(broken / name);
  std::vector<std::string> resumed = padded;
  resumed.push_back("--resume");
  const Outcome outcome = train_ln(bench, broken, resumed);
  REQUIRE_MESSAGE(outcome.code == kDone, outcome.err);
  for (const char* name : {"checkpoints/step-6.safetensors", "metrics.jsonl"})
    CHECK(read_file(broken / name) == read_file(whole / name));

  check_one_line(train_ln(bench, whole, {"--resume", "--set", "train.last_batch=drop"}), kWrongUsage,
                 "train.last_batch = \"pad\" (not \"drop\" of --set)");
}

TEST_CASE("a bad step in a padded batch is done again with its mask") {
  const Bench bench;
  const fs::path run = bench.run("run");
  const Outcome outcome =
      train_ln(bench, run,
               {"--steps", "50", "--set", "train.last_batch=pad", "--set", "optim.name=sgd", "--set",
                "optim.lr=1000", "--set", "optim.weight_decay=1000", "--set", "train.batch=1000"});
  REQUIRE(outcome.code == kFailed);
  const Repro repro = read_repro(run / "repro");
  REQUIRE(repro.batch.mask.defined());
  CHECK(repro.batch.mask.shape() == Shape{1000});
  const std::vector<float> mask = repro.batch.mask.to_vector<float>();
  const float real = std::accumulate(mask.begin(), mask.end(), 0.0f);
  CHECK((real < 1000.0f) == (repro.step % 2 == 0));  // two batches an epoch
  CHECK(real > 0.0f);
  const Replayed again = replay(run / "repro", repro, test::host());
  REQUIRE(again.found);
  CHECK(again.same);
}

TEST_CASE("the planned batch of a padded run has a mask") {
  Config config = default_config(find_model("ln"));
  config.set("train.batch", std::int64_t{3}, "test");
  CHECK_FALSE(blank_batch(config, test::host()).mask.defined());
  config.set("train.last_batch", std::string("pad"), "test");
  CHECK(blank_batch(config, test::host()).mask.to_vector<float>() == std::vector<float>{1, 1, 1});
}

}  // namespace fovea::apps
