// SPDX-License-Identifier: Apache-2.0
#include "apps/checked_step.h"

#include <fmt/format.h>

#include "apps/train_step.h"

namespace fovea::apps {
namespace {

void check_data(const char* name, const Tensor& values) {
  if (const auto bad = first_bad_element(values))
    throw NonFiniteError({"data", "", name, values.shape(), *bad, {value_range(name, values)}});
}

std::optional<NonFinite> find_bad_buffer(const nn::Module& model) {
  for (const nn::NamedBuffer& buffer : model.named_buffers())
    if (const auto bad = first_bad_element(*buffer.value))
      return NonFinite{"running statistics", "", buffer.name, buffer.value->shape(), *bad, {}};
  return std::nullopt;
}

/// What the update is computed from, by parameter.
struct Before {
  std::string name;
  Tensor value, gradient;
};

/// Tells from where an update came, which the state alone does not say.
void add_operands(NonFinite& found, const std::vector<Before>& parameters) {
  for (const Before& before : parameters)
    if (found.tensor == before.name || found.tensor.ends_with("/" + before.name)) {
      found.operands.push_back(value_range(before.name + " before", before.value));
      if (before.gradient.defined()) found.operands.push_back(value_range("gradient", before.gradient));
    }
}

}  // namespace

std::optional<NonFinite> find_bad_state(Task& task, const nn::Optimizer& optimizer) {
  for (const nn::NamedParameter& named : task.model().named_parameters())
    if (const auto bad = first_bad_element(named.parameter->value))
      return NonFinite{optimizer.name(), "", named.name, named.parameter->value.shape(), *bad, {}};
  for (const auto& [name, tensor] : optimizer.state())
    if (const auto bad = first_bad_element(tensor))
      return NonFinite{optimizer.name(), "", name, tensor.shape(), *bad, {}};
  return find_bad_buffer(task.model());
}

Tensor checked_step(const Config& config, Task& task, RunState& run, const nn::Batch& batch) {
  check_data("x", batch.x);
  check_data("target", batch.target);
  if (batch.past.defined()) check_data("past", batch.past);
  AnomalyCheck check;
  const Losses losses = compute_gradients(config, task, run, batch, &check);
  if (auto found = find_bad_buffer(task.model())) throw NonFiniteError(*std::move(found));
  std::vector<Before> parameters;
  for (const nn::NamedParameter& named : task.model().named_parameters()) {
    const Tensor& gradient = named.parameter->grad;
    if (const auto bad = first_bad_element(gradient))  // a sum of several that were finite
      throw NonFiniteError({"backward", "", "gradient of " + named.name, gradient.shape(), *bad, {}});
    parameters.push_back({named.name, named.parameter->value.clone("anomaly"), gradient});
  }
  apply_gradients(run, losses.total);
  if (auto found = find_bad_state(task, run.optimizer)) {
    add_operands(*found, parameters);
    throw NonFiniteError(*std::move(found));
  }
  return losses.shown;
}

Tensor recorded_step(const Config& config, Task& task, RunState& run) {
  StepInputs inputs{run.save({}), {}};
  const Device host = Device::cpu({.threads = 1});
  for (auto& [name, tensor] : inputs.before.tensors)
    tensor = tensor.contiguous().to(host);  // another device: a copy
  inputs.batch = task.next_batch();
  try {
    return checked_step(config, task, run, inputs.batch);
  } catch (const NonFiniteError& error) {
    const auto step = static_cast<std::int64_t>(inputs.before.tensors.at("train.step").item());
    throw BadStep(error, step + 1, run.lr(), std::move(inputs));
  }
}

}  // namespace fovea::apps
