// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "apps/config.h"
#include "apps/memory_plan.h"
#include "autograd/explain.h"

namespace fovea::apps {

/// The tape of one training step, and what the step takes.
struct StepReport {
  std::string model, device;
  std::int64_t batch = 0;
  std::int64_t parameters = 0;  ///< numbers, trained or not
  std::vector<ExplainedOp> ops;
  MemoryPlan memory;

  std::int64_t kept_bytes() const;
  double flops() const;           ///< forward
  double gradient_flops() const;  ///< backward
};

/// Plans and records one step of the configuration's model on a batch of zeros. throws IoError if it does not fit
StepReport explain_step(const Config& config, const Device& device);

std::string explain_text(const StepReport& report);
std::string explain_json(const StepReport& report);
/// For Graphviz: `dot -Tsvg`.
std::string explain_dot(const StepReport& report);
/// A picture of its own, readable on light and dark: one row an op, bars for what it keeps and computes.
std::string explain_svg(const StepReport& report);

/// "11.9 GFLOP"
std::string flops_text(double flops);
/// What an op keeps: "x 12.2 MiB (data), w 281 KiB (conv1.weight)"; "nothing"
std::string kept_text(const ExplainedOp& op);

}  // namespace fovea::apps
