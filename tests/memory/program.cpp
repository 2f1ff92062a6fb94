// SPDX-License-Identifier: Apache-2.0
#include <doctest/doctest.h>

#include <algorithm>
#include <sstream>

#include "apps/checked_step.h"
#include "apps/cli.h"
#include "apps/exit_code.h"
#include "apps/run_folder.h"
#include "apps/run_state.h"
#include "tests/apps/tiny_training.h"
#include "tests/memory/host_faults.h"
#include "tests/memory/training_bench.h"

using namespace fovea;
using namespace fovea::apps;
using namespace fovea::test;
namespace fs = std::filesystem;

namespace {

bool has_temporary_file(const fs::path& folder) {
  if (!fs::exists(folder)) return false;
  return std::any_of(fs::recursive_directory_iterator(folder), fs::recursive_directory_iterator(),
                     [](const auto& entry) { return entry.path().filename().string().starts_with(".tmp-"); });
}

/// All checkpoints can be read, and none is missing before the newest.
void check_checkpoints(const fs::path& run) {
  for (const Checkpoint& checkpoint : checkpoints_of(run)) {
    const SavedRun saved = read_checkpoint(checkpoint.path);
    CHECK(saved.tensors.at("train.step").item() == static_cast<double>(checkpoint.step));
  }
}

struct Saver {
  explicit Saver(const fs::path& folder) : run(RunFolder::open(folder, /*resume=*/false)) {
    (void)run.open_logs(0, {});
  }
  void save(std::int64_t step, const TrainingBench& bench) {
    SavedRun saved;
    saved.tensors = nn::with_prefix("model.", bench.model.state());
    saved.tensors.merge(nn::with_prefix("optim.", bench.optimizer.state()));
    saved.tensors["train.step"] =
        Tensor::full({}, static_cast<double>(step), DType::f64, Device::cpu({.threads = 1}));
    run.save_checkpoint(
        step, [&](const fs::path& file) { write_checkpoint(file, saved); }, /*best=*/false);
  }
  RunFolder run;
};

}  // namespace

TEST_CASE(
    "whichever allocation fails in a save, the checkpoint before it is there and whole, and no temporary "
    "file") {
  const TemporaryFolder folder;
  const fs::path place = folder.path() / "run";
  const Device device = Device::cpu({.threads = 1});
  TrainingBench bench(device, /*prefetch=*/false);
  Saver saver(place);
  saver.save(1, bench);
  bench.step();
  std::int64_t failures = 0;
  bool over = false;
  for (std::int64_t n = 1; !over; ++n) {
    bool passed = false;
    {
      const HostFault fault(n);
      try {
        saver.save(2, bench);
        passed = true;
      } catch (const std::bad_alloc&) {
        ++failures;
      }
      over = fault.calls() < n;
    }
    const Checkpoint latest = find_checkpoint(place, "latest");
    CHECK((latest.step == 2 || (latest.step == 1 && !passed)));
    if (n % 16 == 0) check_checkpoints(place);
    CHECK_FALSE(has_temporary_file(place));
  }
  CHECK(failures > 100);
  check_checkpoints(place);
}

TEST_CASE("whichever allocation fails in a load, model and optimizer are as they were") {
  const TemporaryFolder folder;
  const fs::path place = folder.path() / "run";
  const Device device = Device::cpu({.threads = 1});
  TrainingBench bench(device, /*prefetch=*/false);
  Saver saver(place);
  bench.step();
  saver.save(1, bench);
  const Bits saved = bench.bits();
  bench.step();
  const Bits later = bench.bits();
  nn::State model_later, optimizer_later;
  for (const auto& [name, tensor] : bench.model.state()) model_later[name] = tensor.clone();
  for (const auto& [name, tensor] : bench.optimizer.state()) optimizer_later[name] = tensor.clone();
  Bits model_only = later;  // all of the model, nothing of the optimizer
  for (auto& [name, values] : model_only)
    if (name.starts_with("model.")) values = saved.at(name);
  const std::size_t live = device.arena().stats().live_bytes;
  std::int64_t failures = 0;
  bool over = false;
  for (std::int64_t n = 1; !over; ++n) {
    const auto load = [&] {
      const SavedRun read = read_checkpoint(find_checkpoint(place, "latest").path);
      const nn::State model = nn::without_prefix("model.", read.tensors),
                      optimizer = nn::without_prefix("optim.", read.tensors);
      bench.model.load_state(model);
      bench.optimizer.load_state(optimizer);
    };
    bool passed = false;
    {
      const HostFault fault(n);
      try {
        load();
        passed = true;
      } catch (const std::bad_alloc&) {
        ++failures;
      }
      over = fault.calls() < n;
    }
    const Bits now = bench.bits();
    if (passed) {
      Bits wanted = saved;
      wanted["position"] = later.at("position");
      CHECK(now == wanted);
    } else {
      CHECK((now == later || now == model_only));
    }
    bench.model.load_state(model_later);
    bench.optimizer.load_state(optimizer_later);
    CHECK(device.arena().stats().live_bytes == live);
  }
  CHECK(failures > 100);
}

TEST_CASE("a program whose host runs out of memory says so in at most three lines and leaves whole files") {
  const Bench bench;
  std::int64_t calls = 0;
  {
    const HostFault count(0);
    REQUIRE(bench.train(bench.run("whole"), {"--steps", "2", "--set", "train.checkpoint_every=1"}).code ==
            kDone);
    calls = count.calls();
  }
  constexpr std::int64_t kRuns = 40;
  int failures = 0;
  for (std::int64_t k = 0; k < kRuns; ++k)
    for (const bool from_then_on : {false, true}) {
      const std::int64_t n = 1 + k * calls / kRuns;
      CAPTURE(n);
      CAPTURE(from_then_on);
      const fs::path run = bench.run("run");
      std::vector<std::string> arguments{"train",    "deep-retina",
                                         "--data",   bench.data.string(),
                                         "--out",    run.string(),
                                         "--set",    "model.history=4",
                                         "--set",    "model.channels=[2,2]",
                                         "--set",    "model.kernels=[21,15]",
                                         "--set",    "train.batch=4",
                                         "--steps",  "2",
                                         "--set",    "train.checkpoint_every=1",
                                         "--device", "cpu"};
      std::ostringstream out, err;
      int code = 0;
      {
        const HostFault fault(n, from_then_on);
        code = run_program(arguments, out, err);
      }
      const std::string text = err.str();
      CAPTURE(text);
      if (code != kDone) {
        ++failures;
        CHECK(code == kFailed);
        CHECK(std::count(text.begin(), text.end(), '\n') <= 3);
        if (!from_then_on) CHECK(text.find("out of memory") != std::string::npos);
      }
      CHECK((from_then_on || !has_temporary_file(run)));
      check_checkpoints(run);
      fs::remove_all(run);
    }
  CHECK(failures > kRuns);
}

TEST_CASE("a program whose device runs out of memory names the owners, and keeps the last checkpoint") {
  const Bench bench;
  const std::vector<std::string> settings{"--steps", "3", "--set", "train.checkpoint_every=1"};
  std::int64_t calls = 0;
  {
    const SourceFault count(0);
    REQUIRE(bench.train(bench.run("whole"), settings).code == kDone);
    calls = count.calls();
  }
  int in_training = 0;
  for (std::int64_t k = 0; k < 12; ++k) {
    const fs::path run = bench.run("run");
    Outcome outcome;
    {
      const SourceFault fault(1 + k * calls / 12);
      outcome = bench.train(run, settings);
    }
    CAPTURE(outcome.err);
    CHECK(outcome.code == kFailed);
    CHECK(std::count(outcome.err.begin(), outcome.err.end(), '\n') <= 3);
    CHECK(outcome.err.find("out of memory on cpu: ") != std::string::npos);
    CHECK(outcome.err.find("; largest owners: ") != std::string::npos);
    CHECK_FALSE(has_temporary_file(run));
    if (fs::exists(run)) {
      check_checkpoints(run);
      const bool named = outcome.err.find("fovea train: step ") == 0;
      if (named) {
        ++in_training;
        const std::int64_t kept = find_checkpoint(run, "latest").step;
        CHECK(outcome.err.find("\nthe checkpoint of step " + std::to_string(kept) + " is kept") !=
              std::string::npos);
      }
      fs::remove_all(run);
    }
  }
  CHECK(in_training > 0);
}
