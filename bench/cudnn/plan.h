// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "bench/cudnn/descriptor.h"

namespace fovea::bench::cudnn {

/// What graphs are built for: a handle on a GPU, or the properties of one that is not here (cuDNN 9.8 and later), with
/// which plans can be made but not run.
struct Target {
  cudnnHandle_t handle = nullptr;
  const Descriptor* device = nullptr;
};
/// The properties of a GPU from cuDNN's JSON form of them. throws CudnnError
Descriptor device_properties(const std::string& json);

/// A graph of one operation, with what it is made of.
struct Graph {
  Graph(const Target& target, std::vector<Descriptor> tensors, Descriptor operation);
  std::vector<Descriptor> parts;
  Descriptor graph;
};

/// One way to run a graph: an engine with its settings.
struct Plan {
  std::int64_t engine;             ///< global index
  std::vector<std::string> notes;  ///< what the engine does to numbers: "tensor_core", "fft", "winograd", …
  std::int64_t workspace_bytes;
  Descriptor config, plan;
};

/// Which engines may take part.
struct PlanOptions {
  bool tensor_cores = false;  ///< else engines that use them or round their inputs stay out: fp32-strict
  std::int64_t workspace_limit = std::int64_t{2} << 30;
};

/// All plans that can be built: what cuDNN's heuristics propose (mode A, then the fallback) in its order, then each
/// other engine with its own settings, so that none is passed over unmeasured.
/// refused  if given, gets a line for each engine that does not take the graph
/// throws   CudnnError if the heuristics themselves fail
std::vector<Plan> plans(const Target& target, const Graph& graph, const PlanOptions& options,
                        std::vector<std::string>* refused = nullptr);

/// Memory for one run of a plan; uids and pointers in the same order. throws CudnnError
Descriptor variant_pack(const std::vector<std::int64_t>& uids, const std::vector<void*>& pointers,
                        void* workspace);

}  // namespace fovea::bench::cudnn
