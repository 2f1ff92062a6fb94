// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <functional>
#include <new>
#include <optional>
#include <stdexcept>
#include <string>

#include "apps/checked_step.h"
#include "apps/exit_code.h"
#include "apps/run_folder.h"
#include "kernels/device_fault.h"

namespace fovea::apps {

/// Something is not finite somewhere in the steps since the last checkpoint: what() says what was noticed.
struct BadNumbers : std::runtime_error {
  using std::runtime_error::runtime_error;
};

/// Finds the step at which the numbers were left: goes back to the newest checkpoint and does the steps up to
/// `last` again, one by one, with recorded_step(). Deterministic as they are, they meet the same numbers.
///
/// after_step  what the run does after each step that decides later ones, such as feeding a schedule
/// returns     empty if every number was finite this time
std::optional<BadStep> find_bad_step(const Config& config, Task& task, RunState& state, const RunFolder& run,
                                     std::int64_t last, const std::function<void()>& after_step);

/// Writes RUN/repro and returns the error that ends the run: step, op, tensor, index, then what is kept and how the
/// step is done again. A repro that cannot be written takes nothing away from that.
StoppedRun stopped_at(const BadStep& bad, const Config& config, const Device& device, const RunFolder& run);

/// The error of a run that found no memory for a step: who asked for how much, the largest owners, what is kept, and
/// how to go on with less.
StoppedRun out_of_memory(const std::bad_alloc& error, std::int64_t step, const Config& config,
                         const RunFolder& run);

/// The error of a run whose device failed in a step: what it says of itself, what is kept, and how to go on.
StoppedRun device_failed(const DeviceFault& fault, std::int64_t step, const Config& config,
                         const RunFolder& run);

/// The error of a run whose bad step did not show again.
StoppedRun stopped_without_finding(const std::string& noticed, std::int64_t step, const RunFolder& run);

}  // namespace fovea::apps
