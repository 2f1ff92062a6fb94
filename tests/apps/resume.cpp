// SPDX-License-Identifier: Apache-2.0
// What `fovea train --resume` promises, early stopping, and what a run says about its end.
#include <doctest/doctest.h>
#include <unistd.h>

#include <algorithm>
#include <cstdio>
#include <fstream>
#include <nlohmann/json.hpp>

#include "apps/atomic_file.h"
#include "apps/checkpoint.h"
#include "apps/exit_code.h"
#include "apps/run_folder.h"
#include "tests/apps/stderr_of.h"
#include "tests/apps/tiny_training.h"
#include "tests/temporary_folder.h"

namespace fovea::apps {
using test::has;
namespace fs = std::filesystem;
namespace {

/// A finished run of six steps, with checkpoints and evaluations every two.
const std::vector<std::string> kSix{"--steps",           "6", "--set", "train.checkpoint_every=2", "--set",
                                    "train.eval_every=2"};

std::vector<std::string> six(std::initializer_list<std::string> more) {
  std::vector<std::string> all = kSix;
  all.insert(all.end(), more);
  return all;
}

/// What the run left after its step 4, with all that it logged later.
void back_to_4(const fs::path& whole, const fs::path& broken) {
  fs::copy(whole, broken, fs::copy_options::recursive | fs::copy_options::copy_symlinks);
  for (const char* name : {"checkpoints/step-6.safetensors", "summary.json", "report.json", "report.html"})
    fs::remove(broken / name);
}

fs::path file_of(const fs::path& run, int step) { return run / "checkpoints" / checkpoint_name(step); }

nlohmann::json summary_of(const fs::path& run) {
  return nlohmann::json::parse(read_file(run / "summary.json"));
}

}  // namespace

TEST_CASE("a damaged or newer latest checkpoint: the one before it, with a warning") {
  const Bench bench;
  const fs::path whole = bench.run("whole"), broken = bench.run("broken");
  REQUIRE(bench.train(whole, six({})).code == kDone);
  fs::copy(whole, broken, fs::copy_options::recursive | fs::copy_options::copy_symlinks);
  std::string text = read_file(file_of(broken, 6));
  std::string why;
  SUBCASE("damaged") {
    text.back() = static_cast<char>(text.back() ^ 1);
    why = ": is damaged: its content does not fit its checksum";
  }
  SUBCASE("newer") {
    text.replace(text.find("fovea-run-2"), 11, "fovea-run-9");
    why = ": is of format fovea-run-9, this build reads fovea-run-2; read it with a newer fovea";
  }
  std::ofstream(file_of(broken, 6), std::ios::binary) << text;
  Outcome outcome{};
  const StderrOf err([&] { outcome = bench.train(broken, six({"--resume"})); });
  REQUIRE_MESSAGE(outcome.code == kDone, outcome.err);
  CHECK(has(err.text, "warning: " + file_of(broken, 6).string() + why +
                          "; it is now step-6.safetensors.unreadable, and the run goes on from step 4\n"));
  CHECK(read_file(broken / "checkpoints/step-6.safetensors.unreadable") == text);
  CHECK(read_file(file_of(broken, 6)) == read_file(file_of(whole, 6)));
  CHECK(read_file(broken / "metrics.jsonl") == read_file(whole / "metrics.jsonl"));
  CHECK(find_checkpoint(broken, "best").step == find_checkpoint(whole, "best").step);
}

TEST_CASE("when no checkpoint can be read, nothing is trained and nothing changes") {
  const Bench bench;
  const fs::path run = bench.run("run");
  REQUIRE(bench.train(run, six({})).code == kDone);
  for (const Checkpoint& checkpoint : checkpoints_of(run)) std::ofstream(checkpoint.path) << "rubbish";
  const std::string metrics = read_file(run / "metrics.jsonl");
  check_one_line(bench.train(run, six({"--resume"})), kFailed, "no other checkpoint is left to go on from");
  CHECK(read_file(run / "metrics.jsonl") == metrics);
}

TEST_CASE("another train.math is taken, with the same warning as another device") {
  const Bench bench;
  const fs::path run = bench.run("run");
  REQUIRE(bench.train(run, {"--device", "simt", "--steps", "1"}).code == kDone);
  Outcome outcome{};
  const StderrOf err([&] {
    outcome = bench.train(run, {"--device", "simt", "--steps", "2", "--resume", "--set", "train.math=tf32"});
  });
  CHECK(outcome.code == kDone);
  CHECK(has(err.text, " on simt and goes on with "));
  CHECK(has(err.text, " on simt tf32: its last bits may differ\n"));
  CHECK(summary_of(run).at("arithmetic") == "simt tf32");
}

TEST_CASE("another build, device or instruction set is one warning") {
  const Bench bench;
  const fs::path run = bench.run("run");
  REQUIRE(bench.train(run, six({})).code == kDone);
  SavedRun saved = read_checkpoint(file_of(run, 6));
  saved.notes["device"] = "cpu mmx";
  write_checkpoint(file_of(run, 6), saved);
  Outcome outcome{};
  const StderrOf err([&] { outcome = bench.train(run, six({"--resume"})); });
  CHECK(outcome.code == kDone);
  CHECK(has(err.text, "warning: the run was made by "));
  CHECK(has(err.text, " on cpu mmx and goes on with "));
  CHECK(has(err.text, ": its last bits may differ\n"));
  saved = read_checkpoint(file_of(run, 6));
  saved.notes["build"] = "0000000 Debug";
  write_checkpoint(file_of(run, 6), saved);
  const StderrOf other_build([&] { outcome = bench.train(run, six({"--resume"})); });
  CHECK(has(other_build.text, "warning: the run was made by 0000000 Debug on cpu "));
  const StderrOf again([&] { outcome = bench.train(run, six({"--resume"})); });
  CHECK_FALSE(has(again.text, "warning"));  // it now says who went on
}

TEST_CASE("a run goes on with the settings and the data it began with") {
  const Bench bench;
  const fs::path run = bench.run("run");
  REQUIRE(bench.train(run, six({})).code == kDone);
  SUBCASE("other settings on the command line") {
    check_one_line(bench.train(run, six({"--resume", "--set", "optim.lr=0.5"})), kWrongUsage,
                   "the run was made with optim.lr = 0.001 (not 0.5 of --set), which stays as it is");
  }
  SUBCASE("other settings in its own file") {
    std::string toml = read_file(run / "config.toml");
    toml.replace(toml.find("lr = 0.001"), 10, "lr = 0.002");
    std::ofstream(run / "config.toml") << toml;
    check_one_line(bench.train(run, six({"--resume"})), kWrongUsage,
                   "was made with other settings: optim.lr was 0.001 and is 0.002; put them back");
  }
  SUBCASE("other data") {
    write_tiny_recording(bench.data, {600, 600});
    check_one_line(bench.train(run, six({"--resume"})), kWrongUsage, "was made with other data (checksum ");
  }
  SUBCASE("another model") {
    check_one_line(bench.fovea({"train", "ln", "--resume", "--out", run.string()}), kWrongUsage,
                   "is it a run of ln?");
  }
  SUBCASE("more steps") {
    REQUIRE(bench.train(run, {"--resume", "--steps", "8"}).code == kDone);
    const fs::path longer = bench.run("longer");
    REQUIRE(bench
                .train(longer,
                       {"--steps", "8", "--set", "train.checkpoint_every=2", "--set", "train.eval_every=2"})
                .code == kDone);
    CHECK(read_file(file_of(run, 8)) == read_file(file_of(longer, 8)));
  }
}

TEST_CASE("a refused resume touches nothing, not even a damaged checkpoint") {
  const Bench bench;
  const fs::path run = bench.run("run");
  REQUIRE(bench.train(run, six({})).code == kDone);
  std::ofstream(file_of(run, 6)) << "rubbish";
  fs::remove(run / "config.toml");
  check_one_line(bench.train(run, six({"--resume", "--seed", "5"})), kWrongUsage,
                 "was made with other settings: train.seed was 1 and is 5");
  CHECK(read_file(file_of(run, 6)) == "rubbish");
}

TEST_CASE("a whole checkpoint that does not fit is named, with what is missing") {
  const Bench bench;
  const fs::path run = bench.run("run");
  REQUIRE(bench.train(run, six({})).code == kDone);
  const SavedRun good = read_checkpoint(file_of(run, 6));
  for (const char* name : {"train.step", "best.score", "model.readout.weight", "optim.lr", "plateau.lr"}) {
    CAPTURE(name);
    SavedRun saved = good;
    REQUIRE(saved.tensors.erase(name) == 1);
    for (const Checkpoint& checkpoint : checkpoints_of(run)) write_checkpoint(checkpoint.path, saved);
    const Outcome outcome = bench.train(run, six({"--resume"}));
    check_one_line(outcome, kFailed, file_of(run, 6).string() + ": does not fit this model: ");
    CHECK(outcome.err.find(std::string(name).substr(std::string(name).find('.') + 1)) != std::string::npos);
  }
  for (const double step : {0.5, 1e18}) {
    CAPTURE(step);
    SavedRun saved = good;
    saved.tensors["train.step"] = Tensor::full({}, step, DType::f64, Device::cpu({.threads = 1}));
    for (const Checkpoint& checkpoint : checkpoints_of(run)) write_checkpoint(checkpoint.path, saved);
    check_one_line(bench.train(run, six({"--resume"})), kFailed, "expected a whole number");
  }
  SavedRun saved = good;
  saved.notes.erase("data");
  for (const Checkpoint& checkpoint : checkpoints_of(run)) write_checkpoint(checkpoint.path, saved);
  check_one_line(bench.train(run, six({"--resume"})), kWrongUsage,
                 "was made with other data (checksum , now ");
}

TEST_CASE("a new run may start from the weights of another") {
  const Bench bench;
  const fs::path run = bench.run("run"), next = bench.run("next"), ln = bench.run("ln");
  REQUIRE(bench.train(run, six({})).code == kDone);
  const std::string best = (run / "checkpoints/best").string();
  REQUIRE(bench.train(next, {"--steps", "1", "--init-from", best, "--set", "optim.lr=0"}).code == kDone);
  const nn::State before = read_weights(best), after = read_weights(file_of(next, 1));
  CHECK(after.at("readout.weight").to_vector<float>() == before.at("readout.weight").to_vector<float>());
  // A resumed run has weights of its own.
  Outcome outcome{};
  const StderrOf err([&] {
    outcome = bench.train(next, {"--steps", "1", "--init-from", best, "--resume", "--set", "optim.lr=0"});
  });
  CHECK(outcome.code == kDone);
  CHECK(has(err.text, "warning: --init-from is not used"));

  check_one_line(bench.fovea({"train", "ln", "--data", bench.data.string(), "--out", ln.string(), "--steps",
                              "1", "--device", "cpu", "--init-from", best}),
                 kFailed,
                 best + ": its weights do not fit this model: model.name was \"deep-retina\" and is \"ln\"");
  SavedRun saved = read_checkpoint(best);
  saved.tensors.erase("model.readout.weight");
  const fs::path other = bench.run("other");
  write_checkpoint(other, saved);
  check_one_line(bench.train(ln, {"--steps", "1", "--init-from", other.string()}), kFailed,
                 "'readout.weight'");
  CHECK_FALSE(fs::exists(ln));
}

TEST_CASE("a schedule by steps goes on where it was") {
  const Bench bench;
  const fs::path whole = bench.run("whole"), broken = bench.run("broken");
  const std::vector<std::string> schedule{"--set", "optim.schedule=step", "--set", "optim.schedule_every=2",
                                          "--set", "optim.name=sgd"};
  std::vector<std::string> settings = kSix;
  settings.insert(settings.end(), schedule.begin(), schedule.end());
  REQUIRE(bench.train(whole, settings).code == kDone);
  back_to_4(whole, broken);
  settings.push_back("--resume");
  REQUIRE(bench.train(broken, settings).code == kDone);
  CHECK(read_file(file_of(broken, 6)) == read_file(file_of(whole, 6)));
  CHECK(figures(broken, "lr").back() < figures(broken, "lr").front());
}

TEST_CASE("early stopping ends a run with its best weights, and survives a stop") {
  const Bench bench;
  const fs::path whole = bench.run("whole"), broken = bench.run("broken");
  // No score can be better by a thousand than the first one.
  const std::vector<std::string> settings{"--steps", "50",
                                          "--set",   "train.checkpoint_every=2",
                                          "--set",   "train.eval_every=2",
                                          "--set",   "train.patience=2",
                                          "--set",   "train.min_delta=1000"};
  REQUIRE(bench.train(whole, settings).code == kDone);
  const auto summary = summary_of(whole);
  CHECK(summary.at("ended_by") == "early stopping");
  CHECK(summary.at("steps") == 6);
  CHECK(find_checkpoint(whole, "latest").step == 6);
  CHECK(find_checkpoint(whole, "best").step == summary.at("best_step").get<std::int64_t>());
  CHECK(has(read_file(whole / "report.html"), "early stopping"));
  std::vector<double> scores = figures(whole, "val_pearson");
  REQUIRE(scores.size() == 3);
  CHECK(summary.at("val_pearson") == *std::max_element(scores.begin(), scores.end()));

  // The count of evaluations is in the checkpoint: a run resumed at 4 stops at 6 all the same.
  back_to_4(whole, broken);
  std::vector<std::string> resumed = settings;
  resumed.push_back("--resume");
  REQUIRE(bench.train(broken, resumed).code == kDone);
  CHECK(summary_of(broken).at("steps") == 6);
  CHECK(read_file(file_of(broken, 6)) == read_file(file_of(whole, 6)));

  // Ended, it stays ended; with more patience it goes on.
  REQUIRE(bench.train(whole, resumed).code == kDone);
  CHECK(summary_of(whole).at("steps") == 6);
  REQUIRE(bench.train(whole, {"--resume", "--set", "train.patience=3"}).code == kDone);
  CHECK(summary_of(whole).at("steps") == 8);
}

TEST_CASE("a baseline that has not finished is refused before anything is trained") {
  const Bench bench;
  const fs::path run = bench.run("run"), baseline = bench.run("baseline");
  const auto train = [&] { return bench.train(run, six({"--set", "eval.baseline=" + baseline.string()})); };
  check_one_line(train(), kFailed, "there is no summary.json");
  fs::create_directory(baseline);
  std::ofstream(baseline / "summary.json") << "{\"model\":\"ln\",\"ended_by\":\"SIGINT\"}";
  check_one_line(train(), kFailed, "its summary has no test_pearson");
  CHECK_FALSE(fs::exists(run));
}

}  // namespace fovea::apps
