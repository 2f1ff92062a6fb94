// SPDX-License-Identifier: Apache-2.0
#include "apps/replay.h"

#include <fmt/format.h>

#include <CLI/CLI.hpp>
#include <filesystem>
#include <memory>
#include <nlohmann/json.hpp>
#include <ostream>

#include "apps/cli.h"
#include "apps/exit_code.h"
#include "apps/model_list.h"
#include "apps/run_device.h"
#include "apps/train.h"

namespace fovea::apps {
namespace {

struct ReplayRequest {
  std::filesystem::path folder;
  std::string device;  ///< empty: as the run's, if this machine has it
  bool json = false;
};

/// A task of one batch, which has neither data nor scores.
class OneBatch final : public Task {
 public:
  OneBatch(const Config& config, const Device& device, const Repro& repro)
      : device_(device),
        checksum_(repro.before.notes.contains("data") ? repro.before.notes.at("data") : ""),
        batch_{repro.batch.x.to(device), repro.batch.target.to(device), repro.batch.samples,
               repro.batch.mask.defined() ? repro.batch.mask.to(device) : Tensor(),
               repro.batch.past.defined() ? repro.batch.past.to(device) : Tensor()},
        trainable_(make_trainable(config, batch_, device)) {}

  const Device& device() const override { return device_; }
  Trainable& trainable() override { return trainable_; }
  Trainable twin(const Device&) const override { return {}; }
  nn::Batch blank(std::int64_t, const Device&) const override { return {}; }
  nn::Batch next_batch() override { return batch_; }
  std::int64_t batches_per_epoch() const override { return 1; }
  nn::LoaderPosition position() const override { return position_; }
  void seek(nn::LoaderPosition position) override { position_ = position; }
  Evaluation evaluate() override { return {0.0, {}}; }
  const char* score_name() const override { return "score"; }
  std::string data_summary() const override { return "one batch"; }
  const std::string& data_checksum() const override { return checksum_; }
  std::string data_path() const override { return ""; }
  nn::State constants() const override { return {}; }
  nlohmann::ordered_json test(const nn::State&) override { return {}; }
  void report(const RunFolder&) override {}

 private:
  Device device_;
  std::string checksum_;
  nn::Batch batch_;
  Trainable trainable_;
  nn::LoaderPosition position_;
};

Device device_for(const ReplayRequest& request, const Repro& repro) {
  const Config config = read_run_config(request.folder);
  if (!request.device.empty()) return viewing_device(request.device, config);
  try {
    return viewing_device(repro.device, config);
  } catch (const DeviceError&) {
    return viewing_device("auto", config);
  }
}

int run_replay(const ReplayRequest& request) {
  if (!request.device.empty()) check_device_name(request.device);
  const Repro repro = read_repro(request.folder);
  const Device device = device_for(request, repro);
  const Replayed again = replay(request.folder, repro, device);
  if (!again.warning.empty()) fmt::print(stderr, "warning: {}\n", again.warning);
  if (request.json) {
    const nlohmann::ordered_json json{
        {"step", repro.step},
        {"device", device.description()},
        {"reproduced", again.found.has_value()},
        {"same", again.same},
        {"finding", again.found ? to_json(*again.found) : nlohmann::ordered_json()},
        {"run_found", to_json(repro.finding)}};
    fmt::print("{}\n", json.dump(2));
  } else if (!again.found) {
    fmt::print("step {}: every number is finite on {}\nthe run, on {}, found: {}\n", repro.step,
               device.description(), repro.description, repro.finding.str());
  } else {
    fmt::print("step {}: {}\n", repro.step, again.found->str());
    if (again.same)
      fmt::print("as in the run, to the last bit\n");
    else
      fmt::print("the run, on {}, found: {}\n", repro.description, repro.finding.str());
  }
  return again.found ? kFailed : kDone;
}

}  // namespace

Replayed replay(const std::filesystem::path& folder, const Repro& repro, const Device& device) {
  const Config config = read_run_config(folder);
  OneBatch task(config, device, repro);
  RunState state(config, task);
  Replayed again;
  again.warning = state.restore(repro.before, folder / "weights.safetensors");
  try {
    (void)checked_step(config, task, state, task.next_batch());
  } catch (const NonFiniteError& error) {
    again.found = error.finding;
    again.same = to_json(error.finding) == to_json(repro.finding);
  }
  return again;
}

void register_replay(CLI::App& program, Action& action) {
  const auto request = std::make_shared<ReplayRequest>();
  CLI::App* command =
      program.add_subcommand("replay", "Do the bad step of a failed run again, every number looked at");
  command->add_option("REPRO", request->folder, "The folder repro/ of the run, or a copy of it")->required();
  command->add_option("--device", request->device, "auto, cpu, simt, cuda or cuda:N")
      ->default_str("as the run's, if this machine has it");
  command->add_flag("--json", request->json, "What was found, as one JSON object on stdout");
  command->footer(
      "Exit codes: 1 if a number is not finite again (or the folder cannot be read), 0 if all are finite.");
  command->callback([request, &action] { action = [request] { return run_replay(*request); }; });
}

}  // namespace fovea::apps
