// SPDX-License-Identifier: Apache-2.0
#include "nn/optim/optimizer.h"

#include <algorithm>
#include <cmath>
#include <set>

#include "nn/optim/adam.h"
#include "tensor/views.h"

namespace fovea::nn {
namespace {

/// Which moments a method keeps of each parameter.
struct Moments {
  bool first, second, third;
  explicit Moments(const AdamOptions&) : first(true), second(true), third(false) {}
  explicit Moments(const SgdOptions& sgd) : first(sgd.momentum != 0.0f), second(false), third(false) {}
  explicit Moments(const RmspropOptions& rmsprop)
      : first(rmsprop.momentum != 0.0f), second(true), third(rmsprop.centered) {}
};

}  // namespace

Optimizer::Optimizer(Method method, std::vector<ParameterGroup> groups, double lr) : method_(method) {
  set_lr(lr);
  const Moments has = std::visit([](const auto& options) { return Moments(options); }, method_);
  std::set<std::string> names;
  for (const ParameterGroup& group : groups) {
    if (!(group.lr_scale >= 0.0) || !(group.weight_decay >= 0.0))
      reject<ValueError>(name(), "lr_scale and weight_decay must be at least 0, got {} and {}",
                         group.lr_scale, group.weight_decay);
    Group made{{}, group.lr_scale, group.weight_decay, {}};
    for (const NamedParameter& named : group.parameters) {
      if (!named.parameter->trainable) continue;
      if (!names.insert(named.name).second)
        reject<ValueError>(name(), "the parameter '{}' is in the groups twice", named.name);
      const Tensor& value = named.parameter->value;
      Entry entry{named, {}, {}, {}};
      if (has.first) entry.moment1 = Tensor::zeros_like(value, "moments");
      if (has.second) entry.moment2 = Tensor::zeros_like(value, "moments");
      if (has.third) entry.moment3 = Tensor::zeros_like(value, "moments");
      made.entries.push_back(std::move(entry));
    }
    if (made.entries.empty()) continue;
    made.clock = Tensor::zeros({3}, DType::f32, made.entries[0].named.parameter->value.device(), "clock");
    groups_.push_back(std::move(made));
  }
  if (groups_.empty()) reject<ValueError>(name(), "there is no trainable parameter to step");
}

const char* Optimizer::name() const {
  struct Name {
    const char* operator()(const AdamOptions& adam) const { return adam.decoupled ? "adamw" : "adam"; }
    const char* operator()(const SgdOptions&) const { return "sgd"; }
    const char* operator()(const RmspropOptions&) const { return "rmsprop"; }
  };
  return std::visit(Name{}, method_);
}

void Optimizer::check_lr(double lr) const {
  if (!(lr >= 0.0) || !std::isfinite(lr))
    reject<ValueError>(name(), "the learning rate must be at least 0 and finite, got {}", lr);
}

void Optimizer::set_lr(double lr) {
  check_lr(lr);
  lr_ = lr;
}

void Optimizer::step() {
  const Slots all = slots();
  prepare_step();
  apply(all);
}

void Optimizer::prepare_step() {
  static_assert(sizeof(OptimizerClock) == 3 * sizeof(float));
  for (const Group& group : groups_) {
    const double lr = lr_ * group.lr_scale;
    OptimizerClock clock{static_cast<float>(lr), 1.0f, 1.0f};
    if (const auto* options = std::get_if<AdamOptions>(&method_))
      clock = adam_clock(*options, lr, steps_ + 1);
    // Fills carry their value as a kernel argument: no wait, where a copy from the host would.
    int place = 0;
    for (const float value : {clock.lr, clock.correction1, clock.correction2}) {
      slice(group.clock, 0, place, place + 1).fill(static_cast<double>(value));
      ++place;
    }
  }
  ++steps_;
}

void Optimizer::apply_step() { apply(slots()); }

Optimizer::Slots Optimizer::slots() const {
  Slots all;
  for (const Group& group : groups_) {
    const Device& device = group.clock.device();
    std::vector<OptimizerSlot>& of_group = all.emplace_back();
    for (const Entry& entry : group.entries) {
      const Parameter& parameter = *entry.named.parameter;
      if (!(parameter.value.device() == device))
        reject<DeviceError>(
            name(), "the parameter '{}' is on {}, but its moments are on {}: make the optimizer after to()",
            entry.named.name, parameter.value.device().name(), device.name());
      if (!parameter.grad.defined() || !parameter.trainable) continue;
      of_group.push_back({.value = parameter.value.data(),
                          .grad = parameter.grad.data(),
                          .moment1 = entry.moment1.defined() ? entry.moment1.data() : nullptr,
                          .moment2 = entry.moment2.defined() ? entry.moment2.data() : nullptr,
                          .moment3 = entry.moment3.defined() ? entry.moment3.data() : nullptr,
                          .count = parameter.value.numel(),
                          .weight_decay = static_cast<float>(group.weight_decay)});
    }
  }
  return all;
}

void Optimizer::apply(const Slots& slots) {
  for (std::size_t k = 0; k < groups_.size(); ++k) {
    if (slots[k].empty()) continue;
    const Tensor& clock_tensor = groups_[k].clock;
    const auto* clock = reinterpret_cast<const OptimizerClock*>(clock_tensor.data());
    on(clock_tensor.queue(), [&](auto& q) {
      if (const auto* adam = std::get_if<AdamOptions>(&method_))
        kernels::adam_step(q, slots[k], *adam, clock);
      else if (const auto* sgd = std::get_if<SgdOptions>(&method_))
        kernels::sgd_step(q, slots[k], *sgd, clock);
      else
        kernels::rmsprop_step(q, slots[k], std::get<RmspropOptions>(method_), clock);
    });
  }
}

void Optimizer::zero_grad() {
  for (const Group& group : groups_)
    for (const Entry& entry : group.entries) entry.named.parameter->grad = Tensor();
}

State Optimizer::state() const {
  const Device& device = groups_[0].clock.device();
  State state;
  state.emplace("steps", Tensor::from(std::vector<std::int64_t>{steps_}, {}, device, "state"));
  state.emplace("lr", Tensor::from(std::vector<double>{lr_}, {}, device, "state"));
  for (const Group& group : groups_)
    for (const Entry& entry : group.entries) {
      if (entry.moment1.defined()) state.emplace("moment1/" + entry.named.name, entry.moment1);
      if (entry.moment2.defined()) state.emplace("moment2/" + entry.named.name, entry.moment2);
      if (entry.moment3.defined()) state.emplace("moment3/" + entry.named.name, entry.moment3);
    }
  return state;
}

void Optimizer::load_state(const State& from) {
  const State mine = state();
  // Read before the first moment changes. What is missing or has another shape is for copy_state to tell.
  const auto number = [&](const char* key) {
    const auto found = from.find(key);
    return found != from.end() && found->second.numel() == 1 ? found->second.item() : 0.0;
  };
  const double steps = number("steps"), lr = number("lr");
  check_lr(lr);
  copy_state(name(), mine, from);
  steps_ = static_cast<std::int64_t>(steps);
  lr_ = lr;
}

ParameterGroup all_parameters(const Module& module, double weight_decay) {
  return {.parameters = module.named_parameters(), .lr_scale = 1.0, .weight_decay = weight_decay};
}

ParameterGroup parameters_of(const Module& module, std::span<const Role> roles, double weight_decay) {
  ParameterGroup group{.parameters = {}, .lr_scale = 1.0, .weight_decay = weight_decay};
  for (const NamedParameter& named : module.named_parameters())
    if (std::find(roles.begin(), roles.end(), named.parameter->role) != roles.end())
      group.parameters.push_back(named);
  return group;
}

}  // namespace fovea::nn
