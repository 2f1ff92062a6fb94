// SPDX-License-Identifier: Apache-2.0
#include "apps/data.h"

#include <fmt/format.h>

#include <CLI/CLI.hpp>
#include <algorithm>
#include <memory>

#include "apps/cli.h"
#include "apps/exit_code.h"
#include "apps/names.h"
#include "tensor/file.h"

namespace fovea::apps {
namespace {

std::string data_sets_text() {
  std::string text = "Data sets:\n";
  for (const DataSetEntry& entry : data_set_list())
    text += fmt::format("  {}: {}\n", entry.name, entry.summary);
  return text +
         "  or the path of a file to describe: a recording, a checkpoint, or any HDF5, safetensors, npz, npy "
         "or "
         "IDX (.gz)\n";
}

int run_data(const DataRequest& request) {
  if (request.name.empty()) {
    fmt::print("{}", data_sets_text());
    return kDone;
  }
  std::vector<std::string> names;
  for (const DataSetEntry& entry : data_set_list()) names.push_back(entry.name);
  const bool known = std::find(names.begin(), names.end(), request.name) != names.end();
  if (!known && !std::filesystem::exists(request.name)) {
    std::string hint = did_you_mean(request.name, names);
    if (hint.empty()) hint = nearest_file(request.name);
    throw UsageError(fmt::format("'{}' is neither a data set nor a file{} ('fovea data' lists the names)",
                                 request.name, hint));
  }
  if (!(request.recording.minutes >= 0.07 && request.recording.minutes <= 10000))
    throw UsageError(
        fmt::format("--minutes {}: expected a number from 0.07 to 10000", request.recording.minutes));
  return make_data(request);
}

}  // namespace

const std::vector<DataSetEntry>& data_set_list() {
  static const std::vector<DataSetEntry> entries{
      {"retina",
       "simulated retina of 8 cells, 60 s of test movie shown 6 times (--stimulus, --circuit, --minutes, "
       "--seed)"},
  };
  return entries;
}

void register_data(CLI::App& program, Action& action) {
  const auto request = std::make_shared<DataRequest>();
  CLI::App* command = program.add_subcommand("data", "Make, convert or describe a data set");
  command->add_option("NAME", request->name, "A name or a path; without one, lists the names");
  command
      ->add_option(
          "--stimulus", request->recording.stimulus,
          "natural (photographs where their package is, else dead leaves), photographs, dead-leaves or "
          "white-noise")
      ->capture_default_str();
  command->add_option("--circuit", request->recording.circuit, "standard, or predictive: see simulator.md")
      ->capture_default_str();
  command->add_option("--minutes", request->recording.minutes, "Length of the training movie")
      ->capture_default_str();
  command->add_option("--seed", request->recording.seed, "Seed of stimulus and spikes")
      ->capture_default_str();
  command->add_option(
      "--out", request->out,
      "File to write: HDF5 in the labs' layout if it ends in .h5, else safetensors; by default one in the "
      "cache that training finds");
  command->add_flag("--json", request->json, "Describe it as one JSON object on stdout");
  command->footer(data_sets_text());
  command->callback([request, &action] { action = [request] { return run_data(*request); }; });
}

}  // namespace fovea::apps
