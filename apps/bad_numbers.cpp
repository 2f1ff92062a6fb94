// SPDX-License-Identifier: Apache-2.0
#include "apps/bad_numbers.h"

#include <fmt/format.h>

#include <algorithm>
#include <new>

#include "apps/checkpoint.h"
#include "apps/repro.h"
#include "kernels/arena.h"

namespace fovea::apps {
namespace {

std::string kept(const RunFolder& run) {
  const std::vector<Checkpoint> all = checkpoints_of(run.path());
  return all.empty() ? "no checkpoint was saved"
                     : fmt::format("the checkpoint of step {} is kept", all.back().step);
}

}  // namespace

std::optional<BadStep> find_bad_step(const Config& config, Task& task, RunState& state, const RunFolder& run,
                                     std::int64_t last, const std::function<void()>& after_step) {
  const Checkpoint from = find_checkpoint(run.path(), "latest");
  (void)state.restore(read_checkpoint(from.path), from.path);
  state.optimizer.zero_grad();
  try {
    while (state.step < last) {
      (void)recorded_step(config, task, state);
      after_step();
    }
  } catch (BadStep& bad) {
    return std::move(bad);
  }
  return std::nullopt;
}

StoppedRun stopped_at(const BadStep& bad, const Config& config, const Device& device, const RunFolder& run) {
  const std::filesystem::path folder = run.path() / "repro";
  std::string again;
  try {
    write_repro(folder, config, device, bad);
    again = fmt::format("the step again, with every number looked at: fovea replay {}", folder.string());
  } catch (const IoError& error) {
    again = fmt::format("the step could not be kept for a replay: {}", error.what());
  } catch (const std::bad_alloc&) {
    again = "the step could not be kept for a replay: out of memory";
  }
  const bool data = bad.finding.op == "data";
  return StoppedRun(fmt::format(
      "step {}: {}\n{}; {}\n{}", bad.step, bad.finding.str(), kept(run),
      data ? "mend the data ('fovea data PATH' describes them)" : "try a smaller optim.lr", again));
}

StoppedRun out_of_memory(const std::bad_alloc& error, std::int64_t step, const Config& config,
                         const RunFolder& run) {
  const bool of_a_device =
      dynamic_cast<const OutOfMemory*>(&error) != nullptr;  // whose text names the owners
  const std::string what = of_a_device ? error.what() : "out of memory on the host";
  std::string less;
  if (!checkpoints_of(run.path()).empty())
    less = fmt::format(
        "; from its weights, with a smaller batch: fovea train {} --init-from {} --set train.batch={} …",
        config.text("model.name"), (run.path() / "checkpoints" / "latest").string(),
        std::max<std::int64_t>(1, config.integer("train.batch") / 2));
  return StoppedRun(fmt::format("step {}: {}\n{}{}", step, what, kept(run), less));
}

StoppedRun device_failed(const DeviceFault& fault, std::int64_t step, const Config& config,
                         const RunFolder& run) {
  std::string go_on;
  if (!checkpoints_of(run.path()).empty())
    go_on = fmt::format("; go on from it with: fovea train {} --resume --out {}", config.text("model.name"),
                        run.path().string());
  return StoppedRun(
      fmt::format("step {}: the device failed: {}\n{}{}", step, fault.what(), kept(run), go_on));
}

StoppedRun stopped_without_finding(const std::string& noticed, std::int64_t step, const RunFolder& run) {
  return StoppedRun(
      fmt::format("{} at step {}\n{}; doing the steps since then again met finite numbers only: the "
                  "machine, or a step that does not repeat itself, is at fault",
                  noticed, step, kept(run)));
}

}  // namespace fovea::apps
