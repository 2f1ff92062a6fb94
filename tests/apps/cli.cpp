// SPDX-License-Identifier: Apache-2.0
#include "apps/cli.h"

#include <doctest/doctest.h>

#include <algorithm>
#include <fstream>
#include <sstream>

#include "apps/exit_code.h"
#include "apps/model_list.h"
#include "apps/train.h"
#include "apps/version.h"
#include "tests/temporary_folder.h"

namespace fovea::apps {
using test::has;
using test::TemporaryFolder;
using test::text_of;
namespace {

struct Outcome {
  int code;
  std::string out, err;
};

Outcome fovea(const std::vector<std::string>& arguments) {
  std::ostringstream out, err;
  const int code = run_program(arguments, out, err);
  return {code, out.str(), err.str()};
}

/// The one line of an error; the test fails if there are more or fewer.
std::string usage_error(const std::vector<std::string>& arguments) {
  const Outcome outcome = fovea(arguments);
  CHECK(outcome.code == kWrongUsage);
  CHECK(outcome.out.empty());
  CHECK(std::count(outcome.err.begin(), outcome.err.end(), '\n') == 1);
  return outcome.err;
}

TrainRequest resolved(const TrainOptions& options) {
  std::vector<std::string> notes;
  return resolve_train(options, notes);
}

std::string refused(const TrainOptions& options) {
  return text_of<UsageError>([&] { (void)resolved(options); });
}

}  // namespace

TEST_CASE("help and version") {
  const Outcome help = fovea({"--help"});
  CHECK(help.code == kDone);
  for (const char* command : {"train", "eval", "report", "data"}) CHECK(has(help.out, command));
  CHECK(has(help.out, "Exit codes: 0 done"));
  const Outcome train = fovea({"train", "--help"});
  CHECK(train.code == kDone);
  for (const char* part : {"--resume", "train.batch = 64", "deep-retina", "nips-2016", "auto"})
    CHECK_MESSAGE(has(train.out, part), part);
  CHECK(fovea({"eval", "--help"}).code == kDone);
  CHECK(has(fovea({"data", "--help"}).out, "Data sets:"));
  const Outcome version_line = fovea({"--version"});
  CHECK(version_line.code == kDone);
  CHECK(version_line.out == std::string("fovea ") + version() + " (" + build_id() + ")\n");
  const Outcome nothing = fovea({});
  CHECK(nothing.code == kWrongUsage);
  CHECK(has(nothing.err, "train"));
}

TEST_CASE("wrong usage is one line with the nearest name") {
  CHECK(usage_error({"trian", "ln"}) ==
        "fovea: unknown command 'trian'; did you mean 'train'? ('fovea --help' lists the commands)\n");
  CHECK(usage_error({"train", "ln", "--stpes", "3"}) ==
        "fovea train: unknown option '--stpes'; did you mean '--steps'? ('fovea train --help' shows the "
        "usage)\n");
  CHECK(has(usage_error({"train", "ln", "--resmue=1"}), "did you mean '--resume'?"));
  CHECK(usage_error({"--verison"}) ==
        "fovea: unknown option '--verison'; did you mean '--version'? ('fovea --help' shows the usage)\n");
  CHECK(has(usage_error({"train"}), "MODEL is required"));
  CHECK(has(usage_error({"train", "ln", "extra"}), "unexpected argument 'extra'"));
  CHECK(has(usage_error({"train", "ln", "--steps", "many"}), "--steps"));
  CHECK(has(usage_error({"train", "ln", "--steps"}), "--steps"));
  CHECK(has(usage_error({"train", "ln", "--steps", "1", "--epochs", "1"}), "excludes"));
  CHECK(
      has(usage_error({"train", "deep_retina"}), "unknown model 'deep_retina'; did you mean 'deep-retina'?"));
  CHECK(has(usage_error({"train", "ln", "--device", "gpu"}), "--device gpu: expected auto, cpu, simt, cuda"));
  CHECK(has(usage_error({"train", "ln", "--set", "optim.rl=1"}), "did you mean 'optim.lr'?"));
  CHECK(has(usage_error({"train", "ln", "--resume"}), "--out DIR"));
  CHECK(has(usage_error({"eval", "run", "--split", "tset"}), "tset"));
  CHECK(has(usage_error({"data", "retnia"}), "neither a data set nor a file; did you mean 'retina'?"));
}

TEST_CASE("what fails is one line and exit code 1") {
  const Outcome outcome = fovea({"eval", "/nowhere/run"});
  CHECK(outcome.code == kFailed);
  CHECK(outcome.err == "fovea eval: /nowhere/run: there is no such run folder\n");
  CHECK(fovea({"train", "ln", "--config", "/nowhere/f.toml"}).code == kFailed);
}

TEST_CASE("layers of a training run: defaults, preset, file, --set, options") {
  const TemporaryFolder folder;
  std::ofstream(folder.path() / "f.toml") << "[optim]\nweight_decay = 0.5\n[train]\nbatch = 16\nseed = 3\n";
  TrainOptions options{.model = "deep-retina", .preset = "nips-2016"};
  CHECK(resolved(options).config.real("optim.weight_decay") == 2e-3);
  CHECK(resolved(options).config.integers("model.channels") == std::vector<std::int64_t>{16, 8});
  CHECK(resolved(options).config.origin("model.noise") == "preset nips-2016");
  options.config = folder.path() / "f.toml";
  CHECK(resolved(options).config.real("optim.weight_decay") == 0.5);
  options.set = {"train.batch=8", "optim.lr=0.1", "optim.lr=0.2"};
  options.seed = 9;
  options.data = "x.h5";
  const Config config = resolved(options).config;
  CHECK(config.integer("train.batch") == 8);
  CHECK(config.real("optim.lr") == 0.2);
  CHECK(config.integer("train.seed") == 9);
  CHECK(config.text("data.path") == "x.h5");
  CHECK(config.text("model.name") == "deep-retina");
}

TEST_CASE("--steps and --epochs take each other's limit away") {
  TrainOptions options{.model = "ln", .steps = 7};
  CHECK(resolved(options).config.integer("train.steps") == 7);
  CHECK(resolved(options).config.integer("train.epochs") == 0);
  options.steps.reset();
  options.epochs = 3;
  options.set = {"train.steps=5"};
  CHECK(resolved(options).config.integer("train.steps") == 0);
  options.epochs = 0;
  CHECK(has(refused(options), "say when to stop"));
}

TEST_CASE("what a training run refuses") {
  CHECK(refused({.model = "deep-retina", .preset = "dmeo"}).find("did you mean 'demo'?") !=
        std::string::npos);
  CHECK(has(refused({.model = "ln", .preset = "nips-2016"}), "ln has no such preset"));
  CHECK(has(refused({.model = "ln", .device = "cuda:"}), "--device cuda:"));
  CHECK(has(refused({.model = "ln", .device = "cuda:x"}), "--device cuda:x"));
  CHECK(resolved({.model = "ln", .device = "cuda:3"}).device == "cuda:3");
  CHECK(has(refused({.model = "ln", .init_from = "/nowhere"}), "there is no such file"));
  const TemporaryFolder folder;
  std::ofstream(folder.path() / "f.toml") << "[model]\nname = 'deep-retina'\n";
  CHECK(has(refused({.model = "ln", .config = folder.path() / "f.toml"}), "model.name = \"deep-retina\""));
}

TEST_CASE("a resumed run keeps its settings and says which others it was given") {
  const test::TemporaryFolder run;
  const auto config_file = run.path() / "config.toml", other = run.path() / "other.toml";
  std::ofstream(config_file) << "[optim]\nlr = 0.5\n[train]\nsteps = 8\nepochs = 0\n";
  std::ofstream(other) << "[optim]\nlr = 0.25\n";
  TrainOptions options;
  options.model = "ln";
  options.out = run.path();
  options.resume = true;
  const auto refused = [&] {
    std::vector<std::string> notes;
    return test::text_of<UsageError>([&] { (void)resolve_train(options, notes); });
  };
  SUBCASE("a file beside it is told that it was not heard") {
    options.config = other;
    options.set = {"train.log_every=3"};
    std::vector<std::string> notes;
    const TrainRequest request = resolve_train(options, notes);
    CHECK(request.config.real("optim.lr") == 0.5);
    CHECK(request.config.integer("train.log_every") == 3);
    CHECK(request.config.integer("train.steps") == 8);
    REQUIRE(notes.size() == 1);
    CHECK(has(notes[0], "the resumed run keeps optim.lr = 0.5 (not 0.25 of "));
  }
  SUBCASE("when it stops may change") {
    options.steps = 9;
    std::vector<std::string> notes;
    CHECK(resolve_train(options, notes).config.integer("train.steps") == 9);
    CHECK(notes.empty());
  }
  SUBCASE("what it computes may not") {
    options.set = {"train.batch=3"};
    options.seed = 2;
    CHECK(has(refused(),
              "the run was made with train.batch = 64 (not 3 of --set), train.seed = 1 (not 2 of "
              "--seed), which stays as it is"));
  }
  SUBCASE("the same value again is no change") {
    options.set = {"optim.lr=0.5"};
    CHECK(refused().empty());
  }
  SUBCASE("another model") {
    std::ofstream(config_file) << "[model]\nname = \"deep-retina\"\n";
    CHECK(has(refused(), "is it a run of ln?"));
  }
}

TEST_CASE("every preset of every model is a valid configuration") {
  for (const ModelEntry& model : model_list())
    for (const Preset& preset : model.presets)
      CHECK_NOTHROW((void)resolved({.model = model.name, .preset = preset.name}));
}

TEST_CASE("patience without evaluations is refused") {
  TrainOptions options;
  options.model = "ln";
  options.set = {"train.patience=2", "train.eval_every=0"};
  std::vector<std::string> notes;
  CHECK(has(test::text_of<UsageError>([&] { (void)resolve_train(options, notes); }), "train.eval_every = 0"));
}

}  // namespace fovea::apps
