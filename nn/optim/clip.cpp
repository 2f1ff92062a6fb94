// SPDX-License-Identifier: Apache-2.0
#include "nn/optim/clip.h"

#include <set>
#include <vector>

#include "kernels/ops/clip.h"

namespace fovea::nn {
namespace {

/// The gradients that there are, all on the first parameter's device.
std::vector<GradientSlot> slots_of(const char* op, std::span<const NamedParameter> parameters) {
  if (parameters.empty()) reject<ValueError>(op, "there is no parameter");
  const Device& device = parameters[0].parameter->value.device();
  std::set<const Parameter*> known;
  std::vector<GradientSlot> slots;
  for (const NamedParameter& named : parameters) {
    if (!known.insert(named.parameter).second)
      reject<ValueError>(op, "the parameter '{}' is given twice", named.name);
    if (!(named.parameter->value.device() == device))
      reject<DeviceError>(op, "the parameter '{}' is on {}, but '{}' is on {}", named.name,
                          named.parameter->value.device().name(), parameters[0].name, device.name());
    const Tensor& grad = named.parameter->grad;
    if (grad.defined()) slots.push_back({grad.data(), grad.numel()});
  }
  return slots;
}

void check_limit(const char* op, const char* what, double limit) {
  if (!(limit > 0.0)) reject<ValueError>(op, "{} is {}, expected more than 0", what, limit);
}

Tensor norm_of(const char* op, std::span<const NamedParameter> parameters,
               std::span<const GradientSlot> slots) {
  Tensor norm = Tensor::empty({}, DType::f32, parameters[0].parameter->value.device(), op);
  on(norm.queue(), [&](auto& q) { kernels::gradient_norm(q, slots, norm.data()); });
  return norm;
}

}  // namespace

Tensor gradient_norm(std::span<const NamedParameter> parameters) {
  constexpr const char* op = "gradient_norm";
  return norm_of(op, parameters, slots_of(op, parameters));
}

Tensor clip_gradients_by_norm(std::span<const NamedParameter> parameters, double max_norm) {
  constexpr const char* op = "clip_gradients_by_norm";
  check_limit(op, "max_norm", max_norm);
  const std::vector<GradientSlot> slots = slots_of(op, parameters);
  Tensor norm = norm_of(op, parameters, slots);
  on(norm.queue(),
     [&](auto& q) { kernels::clip_by_norm(q, slots, static_cast<float>(max_norm), norm.data()); });
  return norm;
}

void clip_gradients_by_value(std::span<const NamedParameter> parameters, double limit) {
  constexpr const char* op = "clip_gradients_by_value";
  check_limit(op, "limit", limit);
  const std::vector<GradientSlot> slots = slots_of(op, parameters);
  on(parameters[0].parameter->value.queue(),
     [&](auto& q) { kernels::clip_by_value(q, slots, static_cast<float>(limit)); });
}

}  // namespace fovea::nn
