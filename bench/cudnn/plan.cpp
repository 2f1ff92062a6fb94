// SPDX-License-Identifier: Apache-2.0
#include "bench/cudnn/plan.h"

#include <fmt/format.h>

#include <algorithm>
#include <set>

namespace fovea::bench::cudnn {
namespace {

const char* note_name(cudnnBackendNumericalNote_t note) {
  switch (note) {
    case CUDNN_NUMERICAL_NOTE_TENSOR_CORE:
      return "tensor_core";
    case CUDNN_NUMERICAL_NOTE_DOWN_CONVERT_INPUTS:
      return "down_convert_inputs";
    case CUDNN_NUMERICAL_NOTE_REDUCED_PRECISION_REDUCTION:
      return "reduced_precision_reduction";
    case CUDNN_NUMERICAL_NOTE_FFT:
      return "fft";
    case CUDNN_NUMERICAL_NOTE_NONDETERMINISTIC:
      return "nondeterministic";
    case CUDNN_NUMERICAL_NOTE_WINOGRAD:
      return "winograd";
    case CUDNN_NUMERICAL_NOTE_WINOGRAD_TILE_4x4:
      return "winograd_4x4";
    case CUDNN_NUMERICAL_NOTE_WINOGRAD_TILE_6x6:
      return "winograd_6x6";
    case CUDNN_NUMERICAL_NOTE_WINOGRAD_TILE_13x13:
      return "winograd_13x13";
    case CUDNN_NUMERICAL_NOTE_STRICT_NAN_PROP:
      return "strict_nan";
    default:
      return "unknown_note";
  }
}

/// The engine configurations that the heuristics propose in this mode.
std::vector<Descriptor> proposals(const Target& target, const Graph& graph, cudnnBackendHeurMode_t mode) {
  Descriptor heuristics(CUDNN_BACKEND_ENGINEHEUR_DESCRIPTOR);
  heuristics.set(CUDNN_ATTR_ENGINEHEUR_OPERATION_GRAPH, graph.graph).set(CUDNN_ATTR_ENGINEHEUR_MODE, mode);
  if (target.device != nullptr) heuristics.set(CUDNN_ATTR_ENGINEHEUR_DEVICEPROP, *target.device);
  heuristics.finalize();
  std::vector<Descriptor> found;
  const std::size_t count = heuristics.count(CUDNN_ATTR_ENGINEHEUR_RESULTS, CUDNN_TYPE_BACKEND_DESCRIPTOR);
  for (std::size_t i = 0; i < count; ++i) found.emplace_back(CUDNN_BACKEND_ENGINECFG_DESCRIPTOR);
  const std::size_t given = heuristics.read(CUDNN_ATTR_ENGINEHEUR_RESULTS, found);
  while (found.size() > given) found.pop_back();
  return found;
}

/// An engine with its own settings, which the heuristics may have passed over.
Descriptor default_config(const Target& target, const Graph& graph, std::int64_t index) {
  Descriptor engine(CUDNN_BACKEND_ENGINE_DESCRIPTOR), config(CUDNN_BACKEND_ENGINECFG_DESCRIPTOR);
  engine.set(CUDNN_ATTR_ENGINE_OPERATION_GRAPH, graph.graph).set(CUDNN_ATTR_ENGINE_GLOBAL_INDEX, index);
  if (target.device != nullptr) engine.set(CUDNN_ATTR_ENGINE_DEVICEPROP, *target.device);
  config.set(CUDNN_ATTR_ENGINECFG_ENGINE, engine.finalize()).finalize();
  return config;
}

/// A plan that is still to be finalized.
Plan describe(const Target& target, Descriptor config) {
  Descriptor engine(CUDNN_BACKEND_ENGINE_DESCRIPTOR);
  config.read(CUDNN_ATTR_ENGINECFG_ENGINE, engine);
  const auto index = engine.value<std::int64_t>(CUDNN_ATTR_ENGINE_GLOBAL_INDEX);
  std::vector<std::string> notes;
  for (const auto note : engine.values<cudnnBackendNumericalNote_t>(CUDNN_ATTR_ENGINE_NUMERICAL_NOTE,
                                                                    CUDNN_NUMERICAL_NOTE_TYPE_COUNT))
    notes.emplace_back(note_name(note));
  Descriptor plan(CUDNN_BACKEND_EXECUTION_PLAN_DESCRIPTOR);
  if (target.handle != nullptr) plan.set(CUDNN_ATTR_EXECUTION_PLAN_HANDLE, target.handle);
  if (target.device != nullptr) plan.set(CUDNN_ATTR_EXECUTION_PLAN_DEVICEPROP, *target.device);
  return {index, std::move(notes), 0, std::move(config), std::move(plan)};
}

bool has(const Plan& plan, std::string_view note) {
  return std::find(plan.notes.begin(), plan.notes.end(), note) != plan.notes.end();
}

}  // namespace

Descriptor device_properties(const std::string& json) {
  Descriptor device(CUDNN_BACKEND_DEVICEPROP_DESCRIPTOR);
  device.set(CUDNN_ATTR_DEVICEPROP_JSON_REPRESENTATION, std::span<const char>(json)).finalize();
  return device;
}

Graph::Graph(const Target& target, std::vector<Descriptor> tensors, Descriptor operation)
    : parts(std::move(tensors)), graph(CUDNN_BACKEND_OPERATIONGRAPH_DESCRIPTOR) {
  graph.set(CUDNN_ATTR_OPERATIONGRAPH_OPS, operation);
  if (target.handle != nullptr) graph.set(CUDNN_ATTR_OPERATIONGRAPH_HANDLE, target.handle);
  graph.finalize();
  parts.push_back(std::move(operation));
}

std::vector<Plan> plans(const Target& target, const Graph& graph, const PlanOptions& options,
                        std::vector<std::string>* refused) {
  std::vector<Plan> found;
  std::set<std::int64_t> before;  // engines of earlier sources, each perhaps with several settings
  std::set<std::int64_t> now;
  const auto attempt = [&](auto&& make_config) {
    std::int64_t engine = -1;
    try {
      Plan plan = describe(target, make_config());
      engine = plan.engine;
      now.insert(engine);
      if (before.contains(engine)) return;
      if (!options.tensor_cores && (has(plan, "tensor_core") || has(plan, "down_convert_inputs"))) return;
      plan.plan.set(CUDNN_ATTR_EXECUTION_PLAN_ENGINE_CONFIG, plan.config).finalize();
      plan.workspace_bytes = plan.plan.value<std::int64_t>(CUDNN_ATTR_EXECUTION_PLAN_WORKSPACE_SIZE);
      if (plan.workspace_bytes <= options.workspace_limit) found.push_back(std::move(plan));
    } catch (const CudnnError& error) {
      if (refused != nullptr) refused->push_back(fmt::format("engine {}: {}", engine, error.what()));
    }
  };
  for (const cudnnBackendHeurMode_t mode : {CUDNN_HEUR_MODE_A, CUDNN_HEUR_MODE_FALLBACK}) {
    for (Descriptor& config : proposals(target, graph, mode)) attempt([&] { return std::move(config); });
    before.merge(now);
  }
  const auto engines = graph.graph.value<std::int64_t>(CUDNN_ATTR_OPERATIONGRAPH_ENGINE_GLOBAL_COUNT);
  for (std::int64_t index = 0; index < engines; ++index)
    if (!before.contains(index)) attempt([&] { return default_config(target, graph, index); });
  return found;
}

Descriptor variant_pack(const std::vector<std::int64_t>& uids, const std::vector<void*>& pointers,
                        void* workspace) {
  Descriptor pack(CUDNN_BACKEND_VARIANT_PACK_DESCRIPTOR);
  pack.set(CUDNN_ATTR_VARIANT_PACK_UNIQUE_IDS, uids)
      .set(CUDNN_ATTR_VARIANT_PACK_DATA_POINTERS, pointers)
      .set(CUDNN_ATTR_VARIANT_PACK_WORKSPACE, workspace)
      .finalize();
  return pack;
}

}  // namespace fovea::bench::cudnn
