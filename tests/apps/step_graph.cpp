// SPDX-License-Identifier: Apache-2.0
#include <doctest/doctest.h>
#include <fmt/format.h>

#include <nlohmann/json.hpp>

#include "apps/atomic_file.h"
#include "apps/checkpoint.h"
#include "apps/exit_code.h"
#include "apps/model_list.h"
#include "apps/repro.h"
#include "apps/run_folder.h"
#include "apps/train_step.h"
#include "autograd/ops/elementwise.h"
#include "autograd/ops/reduce.h"
#include "nn/init.h"
#include "nn/linear.h"
#include "nn/loss.h"
#include "nn/noise.h"
#include "tests/apps/listed_task.h"
#include "tests/apps/stderr_of.h"
#include "tests/apps/tiny_training.h"

namespace fovea::apps {
namespace fs = std::filesystem;
namespace {

using Arguments = std::vector<std::string>;
using Floats = std::vector<float>;

/// The emulation, and the GPU if there is one: what has graphs.
Arguments devices() {
  Arguments names{"simt"};
  if (Device::cuda_missing_reason().empty()) names.emplace_back("cuda");
  return names;
}

/// As few operations as the emulation likes, with all that a graph could get wrong: noise, batch statistics, a
/// schedule, clipping, weight decay.
Arguments with(const std::string& device, const char* graph, const char* steps, Arguments more = {}) {
  Arguments all{"--device", device,
                "--steps",  steps,
                "--set",    "train.graph=" + std::string(graph),
                "--set",    "train.eval_every=3",
                "--set",    "model.noise=0.3",
                "--set",    "optim.schedule=step",
                "--set",    "optim.schedule_every=2",
                "--set",    "optim.clip_norm=0.5",
                "--set",    "optim.weight_decay=0.01"};
  all.insert(all.end(), more.begin(), more.end());
  return all;
}

nlohmann::json summary_of(const fs::path& run) {
  return nlohmann::json::parse(read_file(run / "summary.json"));
}

/// y = (x + noise)·wᵀ, and the loss Σ log(y²); with masks, in which each second batch lacks its last sample, mean y².
class NoisyTask final : public ListedTask {
 public:
  NoisyTask(const Device& device, std::vector<Floats> batches, bool masked = false)
      : ListedTask(device, std::move(batches)),
        masked_(masked),
        readout_(new nn::Linear(2, 1, device, {.bias = false})) {
    trainable_.module.reset(readout_);
    for (const auto& named : model().named_parameters()) named.parameter->value.fill(1.0);
    trainable_.loss = [this](Tape& tape, const nn::Batch& batch) {
      const Var y = (*readout_)(noise_(tape.input(batch.x)));
      const Var loss = masked_ ? nn::MseLoss{}(y, batch.target, batch.mask) : sum(log(square(y)));
      return StepLoss{loss, loss.value()};
    };
  }
  nn::Batch next_batch() override {
    nn::Batch batch = ListedTask::next_batch();
    if (!masked_) return batch;
    Floats mask(static_cast<std::size_t>(batch.x.size(0)), 1.0f);
    if (position().batch % 2 == 0) mask.back() = 0.0f;
    batch.mask = Tensor::from(mask, {batch.x.size(0)}, device());
    return batch;
  }

  Floats weights() const { return readout_->weight.value.to_vector<float>(); }

 private:
  bool masked_;
  nn::Linear* readout_;
  nn::GaussianNoise noise_{0.1f};
};

Config settings() {
  Config config = default_config(find_model("ln"));
  config.set("optim.lr", 0.05, "test");
  return config;
}

/// Losses and weights of steps on these batches.
std::vector<Floats> trained(const Device& device, const std::vector<Floats>& batches, bool graph,
                            std::vector<std::int64_t>* launches = nullptr, bool masked = false) {
  NoisyTask task(device, batches, masked);
  const Config config = settings();
  RunState run(config, task);
  StepGraph steps(config, task, run);
  std::vector<Floats> seen;
  for (std::size_t i = 0; i < batches.size(); ++i) {
    const Tensor loss = graph ? steps.step() : train_step(config, task, run);
    seen.push_back({static_cast<float>(loss.item())});
    seen.push_back(task.weights());
    if (launches != nullptr) launches->push_back(steps.launches());
  }
  CHECK(run.step == static_cast<std::int64_t>(batches.size()));
  CHECK(run.optimizer.steps() == run.step);
  return seen;
}

}  // namespace

TEST_CASE(
    "a run of graphs leaves the bits of a run without, and goes on from its checkpoints as from others") {
  const Bench bench;
  for (const std::string& device : devices()) {
    CAPTURE(device);
    const fs::path plain = bench.run((device + "-plain").c_str()),
                   graph = bench.run((device + "-graph").c_str());
    const fs::path half = bench.run((device + "-half").c_str());
    REQUIRE(bench.train(plain, with(device, "off", "5")).code == kDone);
    REQUIRE(bench.train(graph, with(device, "on", "5")).code == kDone);
    CHECK(figures(plain, "loss") == figures(graph, "loss"));
    CHECK(figures(plain, "loss").size() == 5);
    CHECK(figures(graph, "lr")[0] > figures(graph, "lr")[4]);
    const auto weights = [](const fs::path& run) {
      return read_file(run / "checkpoints" / checkpoint_name(5));
    };
    CHECK(weights(plain) == weights(graph));
    CHECK(summary_of(plain)["graph_launches"] == 0);
    CHECK(summary_of(graph)["graph_launches"] > 20);

    REQUIRE(bench.train(half, with(device, "on", "3")).code == kDone);
    REQUIRE(bench.train(half, with(device, "on", "5", {"--resume"})).code == kDone);
    CHECK(weights(half) == weights(plain));
  }
}

TEST_CASE("graphs are recorded anew when shapes change") {
  for (const std::string& name : devices()) {
    const Device device = Device::parse(name);
    const std::vector<Floats> batches{{1, 2, 3, 4}, {2, 1, 1, 3}, {3, 3, 1, 2}, {1, 5},
                                      {2, 4},       {4, 4},       {1, 1, 2, 2}, {3, 1, 2, 5}};
    std::vector<std::int64_t> launches;
    CHECK(trained(device, batches, true, &launches) == trained(device, batches, false));
    const std::vector<bool> recorded{false, true, true, false, true, true, false, true};
    for (std::size_t i = 0; i < recorded.size(); ++i) CHECK((launches[i] > 0) == recorded[i]);
  }
}

TEST_CASE("one graph serves padded batches and others") {
  for (const std::string& name : devices()) {
    const Device device = Device::parse(name);
    const std::vector<Floats> batches{{1, 2, 3, 4}, {2, 1, 1, 3}, {3, 3, 1, 2}, {2, 2, 9, 9}};
    std::vector<std::int64_t> launches;
    CHECK(trained(device, batches, true, &launches, true) == trained(device, batches, false, nullptr, true));
    CHECK(launches[1] > 0);
    CHECK(launches[3] == launches[1]);
    // What stands in a sample that does not count is the same to the weights.
    const std::vector<Floats> others{{1, 2, 3, 4}, {2, 1, 7, 8}, {3, 3, 1, 2}, {2, 2, 0, 1}};
    CHECK(trained(device, others, true, nullptr, true) == trained(device, batches, true, nullptr, true));
  }
}

TEST_CASE("numbers that are not finite stop the weights within a graph, and the step is named") {
  for (const std::string& name : devices()) {
    const Device device = Device::parse(name);
    NoisyTask task(device, {{1, 2, 3, 4}, {2, 1, 1, 3}, {3, std::nanf(""), 1, 2}, {1, 1, 2, 2}});
    const Config config = settings();
    RunState run(config, task);
    StepGraph steps(config, task, run);
    (void)steps.step();
    (void)steps.step();
    const Floats before = task.weights();
    CHECK(run.optimizer.stopped_at() == 0);
    (void)steps.step();
    (void)steps.step();
    CHECK(run.optimizer.stopped_at() == 3);
    CHECK(task.weights() == before);
  }
}

/// Steps that multiply the weights by a million each. The host looks at the loss after every sixth only.
TEST_CASE("a run of graphs learns of bad numbers when it looks, and finds where they began") {
  const Bench bench;
  for (const std::string& device : devices()) {
    const fs::path run = bench.run(device.c_str());
    Outcome outcome{};
    const StderrOf err([&] {
      outcome = bench.fovea({"train",    "ln",
                             "--data",   bench.data.string(),
                             "--out",    run.string(),
                             "--steps",  "50",
                             "--device", device,
                             "--set",    "train.graph=on",
                             "--set",    "train.batch=2",
                             "--set",    "train.log_every=12",
                             "--set",    "train.eval_every=0",
                             "--set",    "optim.name=sgd",
                             "--set",    "optim.lr=1000",
                             "--set",    "optim.weight_decay=1000",
                             "--set",    "model.history=4"});
    });
    CHECK(outcome.code == kFailed);
    const Repro repro = read_repro(run / "repro");
    CHECK(repro.finding.op == "sgd");
    CHECK(repro.step < 11);
    CHECK(outcome.err.find("the checkpoint of step 0 is kept") != std::string::npos);
    CAPTURE(err.text);
    CHECK(err.text.find(
              fmt::format("the loss or a gradient of step {} is not finite at step 12: looking for where "
                          "that began, from the last checkpoint on\n",
                          repro.step + 1)) != std::string::npos);
  }
}

TEST_CASE("the cpu has no graphs") {
  const Bench bench;
  check_one_line(bench.train(bench.run("a"), {"--steps", "1", "--set", "train.graph=on"}), kWrongUsage,
                 "train.graph = on: the cpu has no graphs; leave it at auto, or train with --device cuda");
  check_one_line(bench.train(bench.run("b"), {"--steps", "1", "--set", "train.graph=maybe"}), kWrongUsage,
                 "train.graph");
}

}  // namespace fovea::apps
