// SPDX-License-Identifier: Apache-2.0
#include <doctest/doctest.h>

#include <signal.h>
#include <unistd.h>

#include <algorithm>
#include <atomic>
#include <chrono>
#include <cmath>
#include <csignal>
#include <fstream>
#include <nlohmann/json.hpp>
#include <thread>

#include "apps/atomic_file.h"
#include "apps/exit_code.h"
#include "apps/metrics_log.h"
#include "apps/run_folder.h"
#include "apps/version.h"
#include "tensor/io.h"
#include "tests/apps/tiny_training.h"

namespace fovea::apps {
namespace fs = std::filesystem;

TEST_CASE("fovea train leaves a run folder that eval and report read") {
  const Bench bench;
  const fs::path run = bench.run("run");
  REQUIRE(bench.train(run, {"--steps", "4", "--seed", "7"}).code == kDone);
  const auto summary = nlohmann::json::parse(read_file(run / "summary.json"));
  CHECK(summary.at("steps") == 4);
  CHECK(summary.at("ended_by") == "steps");
  CHECK(summary.at("seed") == 7);
  CHECK(summary.at("build_id") == build_id());
  CHECK(summary.at("device").get<std::string>().starts_with("cpu "));
  CHECK(summary.at("seconds").get<double>() > 0);
  CHECK(std::abs(summary.at("test_pearson").get<double>()) <= 1);
  CHECK(std::abs(summary.at("noise_ceiling").get<double>()) < 0.3);  // both are noise here
  CHECK(summary.at("test_pearson_per_cell").size() == 2);
  CHECK(read_file(run / "report.html").find("<svg") != std::string::npos);
  CHECK(fs::exists(run / "config.toml"));
  CHECK(figures(run, "loss").size() == 4);
  CHECK(find_checkpoint(run, "latest").step == 4);
  CHECK(bench.fovea({"eval", run.string(), "--device", "cpu"}).code == kDone);
  CHECK(bench.fovea({"eval", run.string(), "--device", "cpu", "--split", "validation"}).code == kDone);
  CHECK(bench.fovea({"report", run.string(), "--out", (run / "again.html").string()}).code == kDone);
  CHECK(fs::exists(run / "again.html"));

  const auto owner = bench.train(run, {"--steps", "4"});
  check_one_line(owner, kWrongUsage, run.string() + ": holds a run already (process ");
  CHECK(owner.err.find("--resume goes on with it") != std::string::npos);
}

TEST_CASE("a run resumed from a checkpoint ends with the bits of an unbroken one") {
  const Bench bench;
  const fs::path whole = bench.run("whole"), broken = bench.run("broken");
  const std::vector<std::string> settings{
      "--set", "train.checkpoint_every=2",  "--set", "train.eval_every=2", "--set", "optim.schedule=plateau",
      "--set", "optim.schedule_patience=0", "--set", "optim.momentum=0.9"};
  auto of = [&](std::initializer_list<std::string> more) {
    std::vector<std::string> all = settings;
    all.insert(all.end(), more);
    return all;
  };
  REQUIRE(bench.train(whole, of({"--steps", "6"})).code == kDone);

  // What a machine that lost power after step 4 would leave: later lines in the log, no later checkpoint.
  fs::copy(whole, broken, fs::copy_options::recursive | fs::copy_options::copy_symlinks);
  fs::remove(broken / "checkpoints/step-6.safetensors");
  fs::remove(broken / "summary.json");
  fs::remove(broken / "report.json");
  fs::remove(broken / "report.html");
  REQUIRE(find_checkpoint(broken, "latest").step == 4);
  const Outcome resumed = bench.train(broken, of({"--steps", "6", "--resume"}));
  REQUIRE_MESSAGE(resumed.code == kDone, resumed.err);
  CHECK(read_file(broken / "checkpoints/step-6.safetensors") ==
        read_file(whole / "checkpoints/step-6.safetensors"));
  CHECK(read_file(broken / "metrics.jsonl") == read_file(whole / "metrics.jsonl"));
  CHECK(fs::exists(broken / "summary.json"));
  CHECK(fs::exists(broken / "report.html"));
}

TEST_CASE("a run stopped by a signal saves, and goes on with the same bits") {
  const Bench bench;
  const fs::path whole = bench.run("whole"), stopped = bench.run("stopped");
  REQUIRE(bench.train(whole, {"--steps", "60"}).code == kDone);
  const auto before = std::signal(SIGINT, SIG_IGN);  // should the run end before the signal
  std::atomic<bool> over = false;
  std::thread user([&] {
    while (!over && (!fs::exists(stopped / "metrics.jsonl") || fs::file_size(stopped / "metrics.jsonl") == 0))
      std::this_thread::sleep_for(std::chrono::milliseconds(1));
    ::kill(::getpid(), SIGINT);
  });
  const Outcome first = bench.train(stopped, {"--steps", "60"});
  over = true;
  user.join();
  std::signal(SIGINT, before);
  CHECK(first.code == kInterrupted);
  const auto summary = nlohmann::json::parse(read_file(stopped / "summary.json"));
  CHECK(summary.at("ended_by") == "SIGINT");
  CHECK(summary.at("steps") == find_checkpoint(stopped, "latest").step);
  CHECK(find_checkpoint(stopped, "latest").step < 60);
  CHECK(find_checkpoint(stopped, "best").step ==
        find_checkpoint(stopped, "latest").step);  // none is scored yet
  REQUIRE(bench.train(stopped, {"--steps", "60", "--resume"}).code == kDone);
  CHECK(read_file(stopped / "checkpoints/step-60.safetensors") ==
        read_file(whole / "checkpoints/step-60.safetensors"));
}

TEST_CASE("training steps agree between cpu and emulation") {
  const Bench bench;
  const std::vector<std::string> settings{"--steps",       "2",     "--set",        "optim.name=sgd", "--set",
                                          "train.batch=2", "--set", "optim.lr=1e-4"};
  std::vector<double> losses[2];
  for (const char* device : {"cpu", "simt"}) {
    std::vector<std::string> all = settings;
    all.insert(all.end(), {"--device", device});
    const Outcome outcome = bench.train(bench.run(device), all);
    REQUIRE_MESSAGE(outcome.code == kDone, outcome.err);
    losses[device == std::string("simt")] = figures(bench.run(device), "loss");
  }
  REQUIRE(losses[0].size() == 2);
  for (std::size_t step = 0; step < 2; ++step)
    CHECK(losses[1][step] == doctest::Approx(losses[0][step]).epsilon(1e-5));
}

TEST_CASE("wrong settings and damaged data are one line each") {
  const Bench bench;
  const fs::path run = bench.run("run");
  check_one_line(bench.train(run, {"--steps", "1", "--set", "train.bacth=3"}), kWrongUsage,
                 "did you mean 'train.batch'?");
  CHECK_FALSE(fs::exists(run));

  const std::string whole = read_file(bench.data);
  std::ofstream(bench.data, std::ios::binary).write(whole.data(), 1000);
  check_one_line(bench.train(run, {"--steps", "1"}), kFailed, bench.data.string());
  CHECK_FALSE(fs::exists(run));
  fs::remove(bench.data);
  check_one_line(bench.train(run, {"--steps", "1"}), kFailed, bench.data.string());
}

TEST_CASE("a short recording in one piece is cut finely enough to hold some of it out") {
  const Bench bench;
  write_tiny_recording(bench.data, {1200});
  CHECK(bench.train(bench.run("run"), {"--steps", "1"}).code == kDone);
  CHECK(bench.train(bench.run("half"), {"--steps", "1", "--set", "data.hold_out=0.5"}).code == kDone);
}

TEST_CASE("the LN model trains and serves as a baseline") {
  const Bench bench;
  const fs::path ln = bench.run("ln"), deep = bench.run("deep");
  REQUIRE(bench
              .fovea({"train", "ln", "--data", bench.data.string(), "--out", ln.string(), "--steps", "3",
                      "--device", "cpu", "--set", "train.batch=8", "--set", "optim.lr=1e-4"})
              .code == kDone);
  REQUIRE(bench.train(deep, {"--steps", "2", "--set", "eval.baseline=" + ln.string()}).code == kDone);
  const auto summary = nlohmann::json::parse(read_file(deep / "summary.json"));
  CHECK(summary.at("ln_test_pearson") ==
        nlohmann::json::parse(read_file(ln / "summary.json")).at("test_pearson"));
}

}  // namespace fovea::apps
