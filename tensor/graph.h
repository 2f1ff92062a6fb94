// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstdint>
#include <functional>
#include <memory>

#include "tensor/device.h"

namespace fovea {

/// Work of one device, recorded once and done again by replay() without the host's part of it: on cuda a CUDA graph,
/// in the emulation a list of launches. The cpu has none.
///
///     const Graph step = Graph::capture(device, [&] { …forward, loss, backward, update… });
///     for (…) { x.copy_from(next); step.replay(); }
///
/// What the recorded work reads and writes keeps its address: tensors that exist before must stay, and memory taken
/// on the way belongs to the graph until it goes. Numbers that the host passes to kernels are fixed; what changes from
/// replay to replay stands in device memory (OptimizerClock, philox::Key::device_step). Kernels that choose their
/// form on first use, and libraries that make handles, do so best before: run the work once without a graph.
class Graph {
 public:
  static bool supported(const Device& device) { return device.kind() != DeviceKind::cpu; }

  /// Calls f once. Nothing is run yet, so f must not read a result: that is refused (Device::HostAccessRefused).
  /// throws DeviceError on the cpu, or if f reads or writes device memory from the host; what f throws. The device is
  /// then as before
  static Graph capture(const Device& device, const std::function<void()>& f);

  /// Does the work after what was issued so far; does not wait. throws CudaError, simt::KernelFault
  void replay() const;
  /// Kernels, and on a GPU fills and copies, of one replay.
  std::int64_t launches() const;

 private:
  struct State;
  explicit Graph(std::shared_ptr<const State> state) : state_(std::move(state)) {}
  std::shared_ptr<const State> state_;
};

}  // namespace fovea
