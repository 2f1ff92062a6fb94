// SPDX-License-Identifier: Apache-2.0
// Runs of the baselines: LN by gradient and by reverse correlation, GLM.
#include "apps/baseline_models.h"

#include <doctest/doctest.h>

#include <nlohmann/json.hpp>

#include "apps/atomic_file.h"
#include "apps/checkpoint.h"
#include "apps/exit_code.h"
#include "apps/replay.h"
#include "apps/retina_models.h"
#include "apps/run_folder.h"
#include "apps/task.h"
#include "models/retina/recording_file.h"
#include "tests/apps/tiny_training.h"
#include "tests/host.h"

namespace fovea::apps {
namespace fs = std::filesystem;
namespace {

Outcome train(const Bench& bench, const std::string& model, const fs::path& out,
              const std::vector<std::string>& settings, const std::vector<std::string>& more = {}) {
  std::vector<std::string> arguments{"train", model,        "--data",   bench.data.string(),
                                     "--out", out.string(), "--device", "cpu"};
  for (const std::string& setting : settings) arguments.insert(arguments.end(), {"--set", setting});
  arguments.insert(arguments.end(), more.begin(), more.end());
  return bench.fovea(arguments);
}

nlohmann::json json_of(const fs::path& file) { return nlohmann::json::parse(read_file(file)); }

/// Each cell's filter is in the report, in its place in the frame.
void check_filters(const fs::path& run) {
  const auto report = json_of(run / "report.json");
  REQUIRE(report["filters"].size() == 2);
  for (const auto& filter : report["filters"]) {
    CHECK(filter["frames"] == 4);
    CHECK(filter["height"] == 50);
  }
  CHECK(fs::exists(run / "report.html"));
}

const std::vector<std::string> kGlm{"model.history=4",          "train.batch=32",       "train.log_every=1",
                                    "train.checkpoint_every=2", "train.eval_every=2",   "model.coupling=true",
                                    "model.stimulus_l2=1e-4",   "model.history_l2=1e-2"};

}  // namespace

TEST_CASE("an LN run of each nonlinearity finds the cells' centres and says so") {
  const Bench bench;
  for (const char* nonlinearity : {"softplus", "sigmoid", "relu", "exp", "rectified-quadratic", "rbf"}) {
    CAPTURE(std::string(nonlinearity));
    const fs::path run = bench.run(nonlinearity);
    const Outcome outcome = train(bench, "ln", run,
                                  {"model.history=4", "model.cutout=5", "train.batch=32",
                                   std::string("model.nonlinearity=") + nonlinearity},
                                  {"--steps", "3"});
    REQUIRE_MESSAGE(outcome.code == kDone, outcome.err);
    CHECK(read_run_config(run).integers("model.centres").size() == 4);
    const std::int64_t extra =
        std::string(nonlinearity) == "rbf" ? 30 : nonlinearity[0] == 's' && nonlinearity[1] == 'i';
    CHECK(json_of(run / "summary.json")["parameters"] == 2 * (4 * 10 * 10 + 1 + extra));
    check_filters(run);
  }
}

TEST_CASE("reverse correlation is a run without steps: config, checkpoint, scores and report") {
  const Bench bench;
  for (const char* nonlinearity : {"polynomial", "bins"}) {
    const fs::path run = bench.run(nonlinearity), again = bench.run("again");
    const std::vector<std::string> settings{"model.history=4", "model.cutout=5",
                                            std::string("model.nonlinearity=") + nonlinearity};
    const Outcome outcome = train(bench, "ln-revcorr", run, settings);
    REQUIRE_MESSAGE(outcome.code == kDone, outcome.err);
    const auto summary = json_of(run / "summary.json");
    CHECK(summary["ended_by"] == "closed form");
    CHECK(summary["steps"] == 0);
    CHECK(summary["test_pearson"].is_number());
    CHECK(figures(run, "val_pearson").size() == 1);
    CHECK(summary["val_pearson"] == figures(run, "val_pearson")[0]);
    CHECK(read_run_config(run).integer("train.epochs") == 0);
    check_filters(run);
    CHECK(bench.fovea({"eval", run.string(), "--device", "cpu"}).code == kDone);

    // The fit is the checkpoint: going on with it changes nothing, and a second run gives the same bits.
    const std::string fitted = read_file(run / "checkpoints/step-0.safetensors");
    fs::remove(run / "summary.json");
    REQUIRE(bench.fovea({"train", "ln-revcorr", "--resume", "--out", run.string(), "--device", "cpu"}).code ==
            kDone);
    CHECK(read_file(run / "checkpoints/step-0.safetensors") == fitted);
    CHECK(json_of(run / "summary.json")["test_pearson"] == summary["test_pearson"]);
    REQUIRE(train(bench, "ln-revcorr", again, settings).code == kDone);
    CHECK(read_file(again / "checkpoints/step-0.safetensors") == fitted);
    fs::remove_all(again);
  }
  check_one_line(
      train(bench, "ln-revcorr", bench.run("steps"), {}, {"--steps", "5"}), kWrongUsage,
      "train.steps = 5 of --steps: ln-revcorr is fitted in one pass over the data and takes no steps; "
      "leave it out");
  check_one_line(train(bench, "ln-revcorr", bench.run("epochs"), {"train.epochs=2"}), kWrongUsage,
                 "train.epochs = 2 of --set: ln-revcorr");
}

TEST_CASE("a GLM run goes on to the same bits, and is tested on its own spikes") {
  const Bench bench;
  const fs::path whole = bench.run("whole"), broken = bench.run("broken");
  const Outcome outcome = train(bench, "glm", whole, kGlm, {"--steps", "6"});
  REQUIRE_MESSAGE(outcome.code == kDone, outcome.err);
  const auto summary = json_of(whole / "summary.json");
  CHECK(summary["parameters"] == 2 * (4 * 14 * 14 + 2 * 4 + 1));
  CHECK(summary["free_run_trials"] == 50);
  CHECK(summary["free_run_capped_share"] == 0.0);
  check_filters(whole);
  CHECK(json_of(whole / "report.json")["summary"].get<std::string>().find(
            "the model's own spikes, mean of 50 trials") != std::string::npos);

  fs::copy(whole, broken, fs::copy_options::recursive | fs::copy_options::copy_symlinks);
  for (const char* name : {"checkpoints/step-6.safetensors", "summary.json", "report.json", "report.html"})
    fs::remove(broken / name);
  REQUIRE(train(bench, "glm", broken, {}, {"--resume"}).code == kDone);
  for (const char* name : {"checkpoints/step-6.safetensors", "metrics.jsonl", "config.toml"})
    CHECK(read_file(broken / name) == read_file(whole / name));
  CHECK(json_of(broken / "summary.json")["test_pearson"] == summary["test_pearson"]);
  for (const char* split : {"test", "validation"})
    CHECK(bench.fovea({"eval", whole.string(), "--split", split, "--device", "cpu"}).code == kDone);
}

TEST_CASE("a recording without spike counts is refused for a GLM alone") {
  const Bench bench;
  retina::RecordingData recording = retina::load_recording(bench.data, test::host());
  recording.train_counts = Tensor();
  retina::save_recording(bench.data, recording);
  check_one_line(train(bench, "glm", bench.run("glm"), kGlm, {"--steps", "1"}), kFailed,
                 "recording.safetensors: has no spike counts, which a glm sees; add train/response/binned, "
                 "or spikes/cellNN and train/time, "
                 "or train another model");
  CHECK_FALSE(fs::exists(bench.run("glm") / "config.toml"));
  CHECK(train(bench, "ln", bench.run("ln"), {"model.history=4"}, {"--steps", "1"}).code == kDone);
}

TEST_CASE("a bad step of a GLM is done again with its spikes") {
  const Bench bench;
  const fs::path run = bench.run("run");
  std::vector<std::string> settings = kGlm;
  settings.insert(settings.end(), {"optim.name=sgd", "optim.lr=1000", "optim.weight_decay=1000"});
  REQUIRE(train(bench, "glm", run, settings, {"--steps", "50"}).code == kFailed);
  const Repro repro = read_repro(run / "repro");
  REQUIRE(repro.batch.past.defined());
  CHECK(repro.batch.past.shape() == Shape{32, 4, 2});
  const Replayed again = replay(run / "repro", repro, test::host());
  REQUIRE(again.found);
  CHECK(again.same);
}

TEST_CASE("the planned batch of a GLM has a past, that of others none") {
  CHECK(blank_batch(default_config(find_model("glm")), test::host()).past.shape().rank() == 3);
  for (const char* other : {"ln", "ln-revcorr", "deep-retina"})
    CHECK_FALSE(blank_batch(default_config(find_model(other)), test::host()).past.defined());
}

TEST_CASE("settings of the baselines that do not fit are told in one line") {
  const Bench bench;
  const auto refused = [&](const char* model, const char* setting, const std::string& why) {
    check_one_line(train(bench, model, bench.run("refused"), {setting}, {}), kWrongUsage, why);
  };
  refused("ln", "model.nonlinearity=cubic", "model.nonlinearity");
  refused("ln", "model.cutout=26", "model.cutout");
  refused("glm", "model.nonlinearity=relu", "model.nonlinearity");
  refused("glm", "model.centres=[1,2,3]", "model.centres: expected row and column for each of 2 cells");
  refused("ln-revcorr", "model.degree=12", "model.degree");
  CHECK_FALSE(fs::exists(bench.run("refused") / "config.toml"));
}

}  // namespace fovea::apps
