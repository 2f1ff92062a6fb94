// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstdint>
#include <functional>
#include <optional>
#include <string>

#include "apps/config.h"
#include "apps/task.h"

namespace fovea::apps {

/// What a training step of a batch takes, in bytes. The parts need not be alive at one time, so that the peak may be
/// less than their sum.
struct MemoryPlan {
  std::int64_t batch = 0;
  std::int64_t weights = 0;    ///< parameters and buffers
  std::int64_t gradients = 0;  ///< as large as the parameters that are trained
  std::int64_t moments = 0;    ///< of the optimizer
  std::int64_t data =
      0;  ///< batches on the device; as much as one, three times (of a GPU five), waits in host memory
  std::int64_t kept = 0;  ///< what the tape keeps for backward
  std::int64_t working =
      0;                  ///< what is left of the peak: gradients of activations, working memory of kernels
  std::int64_t peak = 0;  ///< most that is alive at one time
  std::optional<std::int64_t> limit;          ///< what the device has for us; empty: not known
  std::optional<std::int64_t> largest_batch;  ///< that fits into it; 0: not even one sample
  std::string device;                         ///< where the probe ran
  bool stand_in = false;                      ///< the cpu in place of the emulation

  bool fits() const { return !limit || peak <= *limit; }
  /// One line: "memory: weights 0.5 MiB, …, peak 60.2 MiB of 20.1 GiB; the largest batch that fits is 11000".
  std::string str() const;
};

/// "528 KiB", "12.2 MiB", "3.4 GiB"
std::string size_text(std::int64_t bytes);

/// A model on a device, and a batch of zeros of so many samples.
struct Probe {
  std::function<Trainable(const Device&)> model;
  std::function<nn::Batch(std::int64_t batch, const Device&)> batch;
};
/// Without data, for the sizes of the model's standard data set.
Probe standard_probe(const Config& config);

/// Predicts the step of config's train.batch. Two steps of a model that is thrown away, on a device of its own, with a
/// small batch and its double, give the peak between any two events of a step (an op done, forward or backward) as a
/// straight line over the batch; the plan is the largest of these at the batch asked for. Small batches are a power of
/// two below the one asked for, so that the arena rounds both alike. The emulation would take minutes: its plan is
/// made on the cpu.
///
/// batches  that are on the device at a time: a step that is a graph reads from one of its own. A GPU holds one more,
///          which is copied meanwhile
MemoryPlan plan_memory(const Config& config, const Probe& probe, const Device& device, int batches = 1);

/// What a step may use: train.memory_mib if it is set, else what is free on the device.
std::optional<std::int64_t> memory_limit(const Config& config, const Device& device);

/// throws IoError naming the largest batch that fits, if the plan does not
void check_fits(const MemoryPlan& plan);

}  // namespace fovea::apps
