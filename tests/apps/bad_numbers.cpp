// SPDX-License-Identifier: Apache-2.0
#include "apps/bad_numbers.h"

#include <doctest/doctest.h>

#include <algorithm>
#include <cmath>
#include <limits>
#include <nlohmann/json.hpp>

#include "apps/atomic_file.h"
#include "apps/exit_code.h"
#include "apps/model_list.h"
#include "apps/replay.h"
#include "autograd/ops/elementwise.h"
#include "autograd/ops/reduce.h"
#include "nn/init.h"
#include "nn/linear.h"
#include "tensor/io.h"
#include "tests/apps/listed_task.h"
#include "tests/apps/small_files.h"
#include "tests/apps/tiny_training.h"
#include "tests/host.h"

namespace fovea::apps {
using test::host;
namespace fs = std::filesystem;
namespace {

constexpr float kNan = std::numeric_limits<float>::quiet_NaN();

/// log(x·wᵀ): no number where the product is negative.
class Logarithm final : public nn::Module {
 public:
  explicit Logarithm(const Device& device) : readout_(2, 1, device, {.bias = false}) {
    add_child("readout", readout_);
  }
  Var forward(const Var& x) override { return log(readout_(x)); }

 private:
  nn::Linear readout_;
};

/// The sum of that, on batches that a test writes down.
class ListedBatches final : public ListedTask {
 public:
  ListedBatches(const Device& device, std::vector<std::vector<float>> batches)
      : ListedTask(device, std::move(batches)) {
    trainable_.module = std::make_unique<Logarithm>(device);
    for (const auto& named : model().named_parameters()) named.parameter->value.fill(1.0);
    trainable_.loss = [this](Tape& tape, const nn::Batch& batch) {
      const Var loss = sum(model()(tape.input(batch.x)));
      return StepLoss{loss, loss.value()};
    };
  }
};

Config settings(double lr = 1e-3) {
  Config config = default_config(find_model("ln"));
  config.set("optim.name", std::string("sgd"), "test");
  config.set("optim.lr", lr, "test");
  return config;
}

/// The bad step that training on these batches comes to.
BadStep bad_step(const Device& device, const Config& config, std::vector<std::vector<float>> batches) {
  ListedBatches task(device, batches);
  RunState state(config, task);
  for (std::size_t i = 0; i < batches.size(); ++i) {
    try {
      (void)recorded_step(config, task, state);
    } catch (const BadStep& bad) {
      return bad;
    }
  }
  FAIL("every number was finite");
  throw std::logic_error("unreachable");
}

/// Steps that multiply the weights by a million each: they overflow in a step whose loss is still a number.
std::vector<std::string> exploding(const Bench& bench, const fs::path& out, const char* steps) {
  return {"train",    "ln",
          "--data",   bench.data.string(),
          "--out",    out.string(),
          "--steps",  steps,
          "--device", "cpu",
          "--set",    "train.batch=8",
          "--set",    "train.checkpoint_every=1",
          "--set",    "optim.name=sgd",
          "--set",    "optim.lr=1000",
          "--set",    "optim.weight_decay=1000",
          "--set",    "model.history=4"};
}

}  // namespace

TEST_CASE("a step that leaves the numbers is named by its op, tensor and first bad index") {
  const Device devices[] = {Device::cpu({.threads = 2}), Device::simt()};
  for (const Device& device : devices) {
    CAPTURE(device.name());
    // The second row of the third batch has a negative product.
    const BadStep bad = bad_step(device, settings(), {{1, 1, 1, 1}, {1, 2, 3, 4}, {1, 1, -5, 1}});
    CHECK(bad.step == 3);
    CHECK(bad.finding.op == "log");
    CHECK(bad.finding.tensor == "y");
    CHECK(bad.finding.first.index == Shape{1, 0});
    CHECK(std::isnan(bad.finding.first.value));
    CHECK(bad.inputs.before.tensors.at("train.step").item() == 2);
    CHECK(bad.inputs.batch.x.to_vector<float>() == std::vector<float>{1, 1, -5, 1});
  }
}

TEST_CASE("a bad number in the data, a weight or an update is named as such") {
  BadStep bad = bad_step(host(), settings(), {{1, 1, 1, 1}, {1, 2, kNan, 4}});
  CHECK(bad.finding.str() == "data: x [2, 2] is nan at [1, 0]; from x [2, 2] in 1..4, 1 of 4 not finite");
  CHECK(bad.step == 2);

  // Gradients near the largest float, and a step size that carries the weights beyond it.
  bad = bad_step(host(), settings(1e3), {{1e-38f, 1, 1, 1}, {1e-19f, 1e-19f, 1e-19f, 1e-19f}});
  CHECK(bad.finding.op != "data");

  Config config = settings(1e3);
  config.set("optim.weight_decay", 1e3, "test");
  ListedBatches task(host(), {{1, 1, 1, 1}});
  for (const auto& named : task.model().named_parameters()) named.parameter->value.fill(1e34);
  RunState state(config, task);
  try {
    (void)recorded_step(config, task, state);
    FAIL("every number was finite");
  } catch (const BadStep& update) {
    CHECK(update.finding.op == "sgd");
    CHECK(update.finding.tensor == "readout.weight");
    CHECK(update.finding.first.index == Shape{0, 0});
    REQUIRE(update.finding.operands.size() == 2);
    CHECK(update.finding.operands[0].name == "readout.weight before");
    CHECK(update.finding.operands[0].greatest == doctest::Approx(1e34));
    // What the step began from is the state before the update.
    CHECK(update.inputs.before.tensors.at("model.readout.weight").to_vector<float>()[0] == 1e34f);
  }
}

TEST_CASE("a bad step survives its folder, and a second one takes the place of the first") {
  const test::TemporaryFolder folder;
  const fs::path place = folder.path() / "repro";
  const BadStep first = bad_step(host(), settings(), {{1, 1, -5, 1}});
  write_repro(place, settings(), host(), first);
  CHECK(names_in(place) == std::vector<std::string>{"README.txt", "batch.safetensors", "config.toml",
                                                    "report.json", "weights.safetensors"});
  Repro read = read_repro(place);
  CHECK(read.step == 1);
  CHECK(to_json(read.finding) == to_json(first.finding));
  CHECK(read.finding.str() == first.finding.str());
  CHECK(read.batch.x.to_vector<float>() == first.inputs.batch.x.to_vector<float>());
  CHECK(read.device == "cpu");

  const BadStep second = bad_step(host(), settings(), {{1, 1, 1, 1}, {-7, 1, 1, 1}});
  write_repro(place, settings(), host(), second);
  read = read_repro(place);
  CHECK(read.step == 2);
  CHECK(names_in(folder.path()) == std::vector<std::string>{"repro"});

  for (const char* name : {"report.json", "weights.safetensors", "batch.safetensors"}) {
    const std::string whole = read_file(place / name);
    replace_file(place / name, std::string_view(whole).substr(0, whole.size() / 2));
    CHECK(test::text_of<IoError>([&] { read_repro(place); }).find(name) != std::string::npos);
    replace_file(place / name, whole);
  }
  const fs::path batch = place / "batch.safetensors";
  Safetensors kept = load_safetensors(batch, host());
  kept.tensors.erase("target");
  save_safetensors(batch, kept.tensors);
  CHECK(test::text_of<IoError>([&] { read_repro(place); }) ==
        batch.string() + ": tensor 'target' is missing");
  fs::remove(place / "report.json");
  CHECK(test::text_of<IoError>([&] { read_repro(place); }).find("is not a bad step") != std::string::npos);
}

TEST_CASE("a disk that is full while the bad step is written does not hide what happened") {
  const test::TemporaryFolder folder;
  RunFolder run = RunFolder::open(folder.path() / "run", /*resume=*/false);
  const BadStep bad = bad_step(host(), settings(), {{1, 1, -5, 1}});
  const StoppedRun stopped = [&] {
    const SmallFilesOnly limit(200);
    return stopped_at(bad, settings(), host(), run);
  }();
  const std::string text = stopped.what();
  CAPTURE(text);
  CHECK(text.starts_with("step 1: log: y [2, 1] is nan at [1, 0]; from x"));
  CHECK(text.find("the step could not be kept for a replay: ") != std::string::npos);
  CHECK(std::count(text.begin(), text.end(), '\n') == 2);
  CHECK_FALSE(fs::exists(run.path() / "repro"));
  for (const std::string& name : names_in(run.path())) CHECK_FALSE(name.starts_with(".tmp-"));
}

TEST_CASE("a run that leaves the numbers keeps its last good checkpoint and the bad step") {
  const Bench bench;
  const fs::path run = bench.run("run");
  const Outcome outcome = bench.fovea(exploding(bench, run, "50"));
  CAPTURE(outcome.err);
  CHECK(outcome.code == kFailed);
  CHECK(outcome.err.starts_with("fovea train: step "));
  CHECK(std::count(outcome.err.begin(), outcome.err.end(), '\n') == 3);
  CHECK_FALSE(fs::exists(run / "summary.json"));
  const Checkpoint kept = find_checkpoint(run, "latest");
  REQUIRE(kept.step >= 1);
  REQUIRE(kept.step < 50);
  for (const auto& entry : read_weights(kept.path)) {
    CAPTURE(entry.first);
    CHECK_FALSE(first_bad_element(entry.second));
  }
  // It holds what a run that ends there has come to.
  const fs::path good = bench.run("good");
  const std::string steps = std::to_string(kept.step);
  REQUIRE(bench.fovea(exploding(bench, good, steps.c_str())).code == kDone);
  const SavedRun mine = read_checkpoint(kept.path),
                 other = read_checkpoint(find_checkpoint(good, "latest").path);
  for (const auto& entry : mine.tensors)
    if (entry.first.starts_with("model.") || entry.first.starts_with("optim."))
      CHECK_MESSAGE(entry.second.to_vector<float>() == other.tensors.at(entry.first).to_vector<float>(),
                    entry.first);

  const Repro repro = read_repro(run / "repro");
  CHECK(repro.step == kept.step + 1);
  CHECK(repro.finding.op == "sgd");
  CHECK(outcome.err.starts_with("fovea train: step " + std::to_string(repro.step) + ": " +
                                repro.finding.str() + "\n"));
  CHECK(outcome.err.find("the checkpoint of step " + steps + " is kept; try a smaller optim.lr\n") !=
        std::string::npos);

  SUBCASE("and the step is done again to the last bit, elsewhere and without the data") {
    const fs::path elsewhere = bench.run("elsewhere");
    fs::rename(run / "repro", elsewhere);
    fs::remove(bench.data);
    fs::remove_all(run);
    const Replayed again = replay(elsewhere, read_repro(elsewhere), host());
    REQUIRE(again.found);
    CHECK(again.same);
    CHECK(again.warning.empty());
    CHECK(again.found->str() == repro.finding.str());
    CHECK(bench.fovea({"replay", elsewhere.string()}).code == kFailed);
    CHECK(bench.fovea({"replay", elsewhere.string(), "--json", "--device", "cpu"}).code == kFailed);
  }
  SUBCASE("and with --anomaly from the start it stops at the same step") {
    std::vector<std::string> arguments = exploding(bench, bench.run("anomaly"), "50");
    arguments.push_back("--anomaly");
    const Outcome watched = bench.fovea(arguments);
    CHECK(watched.code == kFailed);
    CHECK(watched.err.substr(0, watched.err.find('\n')) == outcome.err.substr(0, outcome.err.find('\n')));
    CHECK(read_file(bench.run("anomaly") / "repro/batch.safetensors") ==
          read_file(run / "repro/batch.safetensors"));
    CHECK(read_file(bench.run("anomaly") / "repro/weights.safetensors") ==
          read_file(run / "repro/weights.safetensors"));
  }
  SUBCASE("and a fault that is gone is told from one that is not") {
    // As if the program had been mended: with a smaller step size in the same state, nothing overflows.
    Repro mended = repro;
    Config config = read_run_config(run / "repro");
    config.set("optim.weight_decay", 0.0, "test");
    config.set("optim.lr", 1e-9, "test");
    replace_file(run / "repro" / "config.toml", config.to_toml());
    mended.before.notes.erase("settings");
    mended.before.tensors.at("plateau.lr").fill(1e-9);
    const Replayed again = replay(run / "repro", mended, host());
    CHECK_FALSE(again.found);
    CHECK_FALSE(again.same);
  }
}

TEST_CASE("a loss that is no number leads back to where it began, some steps and a schedule before") {
  const Bench bench;
  const fs::path run = bench.run("run");
  std::vector<std::string> arguments = exploding(bench, run, "50");
  std::replace(arguments.begin(), arguments.end(), std::string("train.checkpoint_every=1"),
               std::string("train.checkpoint_every=100"));
  for (const char* setting : {"optim.schedule=plateau", "optim.schedule_patience=0", "train.eval_every=2"})
    arguments.insert(arguments.end(), {"--set", setting});
  const Outcome outcome = bench.fovea(arguments);
  CAPTURE(outcome.err);
  CHECK(outcome.code == kFailed);
  const Repro repro = read_repro(run / "repro");
  CHECK(repro.step > find_checkpoint(run, "latest").step);
  CHECK(replay(run / "repro", repro, host()).same);
}

TEST_CASE("weights that are no numbers are refused before the first step") {
  const Bench bench;
  REQUIRE(bench.train(bench.run("run"), {"--steps", "1"}).code == kDone);
  SavedRun saved = read_checkpoint(find_checkpoint(bench.run("run"), "latest").path);
  saved.tensors.at("model.conv1.weight").fill(kNan);
  write_checkpoint(bench.folder.path() / "bad.safetensors", saved);
  const Outcome outcome =
      bench.train(bench.run("second"),
                  {"--steps", "1", "--init-from", (bench.folder.path() / "bad.safetensors").string()});
  check_one_line(outcome, kFailed, "conv1.weight is nan before the first step");
  CHECK_FALSE(fs::exists(bench.run("second")));
}

}  // namespace fovea::apps
