// SPDX-License-Identifier: Apache-2.0
#include "apps/suite.h"

#include <fmt/format.h>

#include <CLI/CLI.hpp>
#include <memory>

#include "apps/cli.h"
#include "apps/exit_code.h"
#include "apps/names.h"
#include "apps/run_folder.h"

namespace fovea::apps {
namespace {

namespace fs = std::filesystem;

int run_suite(const SuiteRequest& request) {
  check_choice("SUITE", request.name, {"retina"});
  check_device_name(request.device);
  if (!(request.minutes >= 0.5 && request.minutes <= 600))
    throw UsageError(fmt::format("--minutes {}: expected a number from 0.5 to 600", request.minutes));
  if (request.epochs < 1 || request.seeds < 1)
    throw UsageError(
        fmt::format("--epochs {} --seeds {}: each must be at least 1", request.epochs, request.seeds));
  SuiteRequest resolved = request;
  if (resolved.out.empty()) resolved.out = fs::path("runs") / ("suite-" + request.name);
  return run_retina_suite(resolved);
}

}  // namespace

int train_all(const std::vector<SuiteRun>& runs, const fs::path& folder) {
  for (std::size_t k = 0; k < runs.size(); ++k) {
    const SuiteRun& run = runs[k];
    TrainOptions options = run.options;
    options.out = folder / run.name;
    if (is_finished(*options.out)) continue;
    options.resume = fs::exists(*options.out / "config.toml");
    fmt::print("\n{} of {}: {}\n", k + 1, runs.size(), run.name);
    std::fflush(stdout);
    std::vector<std::string> notes;
    const TrainRequest request = resolve_train(options, notes);
    for (const std::string& note : notes) fmt::print(stderr, "{}\n", note);
    RunFolder opened = RunFolder::open(*options.out, options.resume);
    if (const int code = train(request, opened); code != kDone) return code;
  }
  return kDone;
}

void register_suite(CLI::App& program, Action& action) {
  const auto request = std::make_shared<SuiteRequest>();
  CLI::App* command = program.add_subcommand(
      "suite", "Train and compare all models of a paper; goes on where it was stopped");
  command
      ->add_option("SUITE", request->name,
                   "retina: Deep Retina, its forms and its baselines, on a simulated retina")
      ->required();
  command->add_option("--out", request->out, "Folder for data, runs, summary.json and report.html")
      ->default_str("runs/suite-SUITE");
  command->add_option("--minutes", request->minutes, "Length of the training movies")->capture_default_str();
  command->add_option("--epochs", request->epochs, "Passes over them in each training")
      ->capture_default_str();
  command->add_option("--seeds", request->seeds, "Trainings of each of the main models")
      ->capture_default_str();
  command
      ->add_option("--device", request->device, "auto (the GPU if there is one), cpu, simt, cuda or cuda:N")
      ->capture_default_str();
  command->callback([request, &action] { action = [request] { return run_suite(*request); }; });
}

}  // namespace fovea::apps
