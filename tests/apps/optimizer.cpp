// SPDX-License-Identifier: Apache-2.0
#include <doctest/doctest.h>

#include <algorithm>
#include <cmath>
#include <string>

#include "apps/exit_code.h"
#include "apps/model_list.h"
#include "apps/run_state.h"
#include "apps/train_step.h"
#include "tests/apps/tiny_training.h"

namespace fovea::apps {
namespace {

Config settings(const Bench& bench, std::initializer_list<const char*> more) {
  Config config = default_config(find_model("ln"));
  config.set_text("data.path=" + bench.data.string(), "test");
  config.set_text("model.history=10", "test");
  config.set_text("train.batch=8", "test");
  for (const char* setting : more) config.set_text(setting, "test");
  return config;
}

/// How far each parameter is moved by a step of sgd with a rate of 1 and no decay: minus its gradient,
/// clipped.
std::vector<double> moves(const Bench& bench, std::initializer_list<const char*> more) {
  Config config = settings(bench, more);
  for (const char* setting : {"optim.name=sgd", "optim.lr=1", "optim.weight_decay=0"})
    config.set_text(setting, "test");
  const auto task = make_task(config, Device::cpu());
  RunState state(config, *task);
  std::vector<double> before, after;
  const auto note = [&](std::vector<double>& into) {
    for (const nn::NamedParameter& named : task->model().named_parameters())
      for (const double v : named.parameter->value.to_vector<double>()) into.push_back(v);
  };
  note(before);
  (void)train_step(config, *task, state);
  note(after);
  for (std::size_t i = 0; i < after.size(); ++i) after[i] -= before[i];
  return after;
}

double norm(const std::vector<double>& values) {
  double sum = 0;
  for (const double v : values) sum += v * v;
  return std::sqrt(sum);
}

}  // namespace

TEST_CASE("optim.name picks the update rule, with its options") {
  const Bench bench;
  const auto name_of = [&](std::initializer_list<const char*> more) {
    const Config config = settings(bench, more);
    const Trainable trainable = make_trainable(config, Device::cpu());
    const nn::Optimizer optimizer = make_optimizer(config, *trainable.module);
    std::string text = optimizer.name();
    for (const char* moment : {"moment1/", "moment2/", "moment3/"})
      for (const auto& [name, tensor] : optimizer.state())
        if (name.starts_with(moment)) {
          text += std::string(" ") + moment[6];
          break;
        }
    return text;
  };
  CHECK(name_of({}) == "adam 1 2");
  CHECK(name_of({"optim.name=adamw"}) == "adamw 1 2");
  CHECK(name_of({"optim.name=sgd"}) == "sgd");
  CHECK(name_of({"optim.name=sgd", "optim.momentum=0.9"}) == "sgd 1");
  CHECK(name_of({"optim.name=nesterov", "optim.momentum=0.9"}) == "sgd 1");
  CHECK(name_of({"optim.name=rmsprop"}) == "rmsprop 2");
  CHECK(name_of({"optim.name=rmsprop", "optim.momentum=0.5"}) == "rmsprop 1 2");
  CHECK(name_of({"optim.name=rmsprop", "optim.centered=true"}) == "rmsprop 2 3");
  CHECK_THROWS_WITH_AS(name_of({"optim.name=nesterov"}),
                       "optim.name = nesterov needs optim.momentum above 0, as 0.9", UsageError);
  CHECK_THROWS_WITH_AS(
      name_of({"optim.name=rmsprob"}),
      "test: optim.name = \"rmsprob\": expected one of adam, adamw, sgd, nesterov, rmsprop; did you "
      "mean 'rmsprop'?",
      UsageError);
}

TEST_CASE("optim.clip_norm and optim.clip_value bound what a step sees") {
  const Bench bench;
  const std::vector<double> free = moves(bench, {});
  const double whole = norm(free);
  REQUIRE(whole > 1e-3);
  const std::vector<double> loose = moves(bench, {"optim.clip_norm=1e6", "optim.clip_value=1e6"});
  CHECK(loose == free);
  // A step is a difference of weights of about 1, so it is known to some 1e-7.
  CHECK(norm(moves(bench, {"optim.clip_norm=0.001"})) == doctest::Approx(1e-3).epsilon(0.01));
  const std::vector<double> cut = moves(bench, {"optim.clip_value=0.0001"});
  double worst = 0;
  for (std::size_t i = 0; i < cut.size(); ++i)
    worst = std::max(worst, std::abs(cut[i] - std::clamp(free[i], -1e-4, 1e-4)));
  CHECK(worst < 1e-6);
}

TEST_CASE("a run with every rule and clipping goes on from its checkpoint with the same bits") {
  const Bench bench;
  for (const char* name : {"adamw", "nesterov", "rmsprop"}) {
    CAPTURE(std::string(name));
    const std::vector<std::string> settings{"--set", std::string("optim.name=") + name,
                                            "--set", "optim.momentum=0.5",
                                            "--set", "optim.centered=true",
                                            "--set", "optim.clip_norm=0.01",
                                            "--set", "train.log_every=1"};
    const auto train = [&](const std::string& out, const char* steps, bool resume) {
      std::vector<std::string> all = settings;
      all.insert(all.end(), {"--steps", steps});
      if (resume) all.push_back("--resume");
      const Outcome outcome = bench.train(bench.run(out.c_str()), all);
      CAPTURE(outcome.err);
      CHECK(outcome.code == kDone);
    };
    const std::string whole = std::string(name) + "-whole", part = std::string(name) + "-part";
    train(whole, "6", false);
    train(part, "3", false);
    train(part, "6", true);
    CHECK(figures(bench.run(whole.c_str()), "loss") == figures(bench.run(part.c_str()), "loss"));
  }
}

}  // namespace fovea::apps
