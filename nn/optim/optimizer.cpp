// SPDX-License-Identifier: Apache-2.0
#include "nn/optim/optimizer.h"

#include <algorithm>
#include <cmath>
#include <cstddef>
#include <set>

#include "kernels/ops/clip.h"
#include "kernels/ops/fill.h"

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
  check_lr(lr);
  lr_ = lr;
  const Moments has = std::visit([](const auto& options) { return Moments(options); }, method_);
  std::set<std::string> names;
  for (const ParameterGroup& group : groups) {
    if (!(group.lr_scale >= 0.0) || !(group.weight_decay >= 0.0))
      reject<ValueError>(name(), "lr_scale and weight_decay must be at least 0, got {} and {}",
                         group.lr_scale, group.weight_decay);
    Group made{{}, group.lr_scale, group.weight_decay};
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
    if (!made.entries.empty()) groups_.push_back(std::move(made));
  }
  if (groups_.empty()) reject<ValueError>(name(), "there is no trainable parameter to step");
  static_assert(sizeof(OptimizerClock) == 5 * sizeof(std::int32_t));
  clock_ = Tensor::empty({5}, DType::i32, groups_[0].entries[0].named.parameter->value.device(), "clock");
  start_clock();
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
  if (lr == lr_) return;
  on(clock_.queue(), [&](auto& q) { kernels::fill(q, 1, lr, &clock()->lr, DType::f32); });
  lr_ = lr;
}

void Optimizer::start_clock() const {
  // Fills carry their value as a kernel argument: no wait, where a copy from the host would.
  on(clock_.queue(), [&](auto& q) {
    kernels::fill(q, 1, lr_, &clock()->lr, DType::f32);
    kernels::fill(q, 1, static_cast<double>(steps_), &clock()->steps, DType::i32);
    kernels::fill(q, 1, 0.0, &clock()->stopped, DType::i32);
  });
}

void Optimizer::step() {
  apply_step();
  count_step();
}

void Optimizer::apply_step() { apply(slots()); }

std::vector<OptimizerSlot> Optimizer::slots() const {
  std::vector<OptimizerSlot> all;
  for (const Group& group : groups_)
    for (const Entry& entry : group.entries) {
      const Parameter& parameter = *entry.named.parameter;
      if (!(parameter.value.device() == clock_.device()))
        reject<DeviceError>(
            name(), "the parameter '{}' is on {}, but its moments are on {}: make the optimizer after to()",
            entry.named.name, parameter.value.device().name(), clock_.device().name());
      if (!parameter.grad.defined() || !parameter.trainable) continue;
      all.push_back({.value = parameter.value.data(),
                     .grad = parameter.grad.data(),
                     .moment1 = entry.moment1.defined() ? entry.moment1.data() : nullptr,
                     .moment2 = entry.moment2.defined() ? entry.moment2.data() : nullptr,
                     .moment3 = entry.moment3.defined() ? entry.moment3.data() : nullptr,
                     .count = parameter.value.numel(),
                     .weight_decay = static_cast<float>(group.weight_decay),
                     .lr_scale = static_cast<float>(group.lr_scale)});
    }
  return all;
}

void Optimizer::apply(std::span<const OptimizerSlot> slots) {
  on(clock_.queue(), [&](auto& q) {
    const auto* adam = std::get_if<AdamOptions>(&method_);
    kernels::advance_clock(q, adam != nullptr ? adam->beta1 : 0.0f, adam != nullptr ? adam->beta2 : 0.0f,
                           clock());
    if (adam != nullptr)
      kernels::adam_step(q, slots, *adam, clock());
    else if (const auto* sgd = std::get_if<SgdOptions>(&method_))
      kernels::sgd_step(q, slots, *sgd, clock());
    else
      kernels::rmsprop_step(q, slots, std::get<RmspropOptions>(method_), clock());
  });
}

void Optimizer::stop_if_not_finite(const Tensor& loss) {
  std::vector<GradientSlot> gradients;
  for (const Group& group : groups_)
    for (const Entry& entry : group.entries)
      if (const Tensor& grad = entry.named.parameter->grad; grad.defined())
        gradients.push_back({grad.data(), grad.numel()});
  on(clock_.queue(), [&](auto& q) {
    kernels::stop_if_not_finite(q, gradients, loss.defined() ? loss.data() : nullptr, clock());
  });
}

std::int64_t Optimizer::stopped_at() const {
  return clock_.to_vector<std::int32_t>()[offsetof(OptimizerClock, stopped) / sizeof(std::int32_t)];
}

void Optimizer::zero_grad() {
  for (const Group& group : groups_)
    for (const Entry& entry : group.entries) entry.named.parameter->grad = Tensor();
}

State Optimizer::state() const {
  const Device& device = clock_.device();
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
  start_clock();
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
