// SPDX-License-Identifier: Apache-2.0
#include "nn/module.h"

#include <algorithm>
#include <limits>

namespace fovea::nn {

/// Calls f(module, prefix of its names) for this module and all below it.
template <class F>
void Module::visit(const std::string& prefix, const F& f) const {
  f(*this, prefix);
  for (const Module* child : children_) child->visit(prefix + child->name_ + ".", f);
}

std::vector<NamedParameter> Module::named_parameters() const& {
  std::vector<NamedParameter> all;
  visit("", [&](const Module& module, const std::string& prefix) {
    for (Parameter* parameter : module.parameters_) all.push_back({prefix + parameter->name, parameter});
  });
  return all;
}

std::vector<NamedBuffer> Module::named_buffers() const& {
  std::vector<NamedBuffer> all;
  visit("", [&](const Module& module, const std::string& prefix) {
    for (const NamedBuffer& buffer : module.buffers_) all.push_back({prefix + buffer.name, buffer.value});
  });
  return all;
}

std::int64_t Module::parameter_count() const {
  std::int64_t count = 0;
  for (const NamedParameter& named : named_parameters()) count += named.parameter->value.numel();
  return count;
}

std::vector<Module*> Module::modules() & {
  std::vector<Module*> all{this};
  for (Module* child : children_)
    for (Module* below : child->modules()) all.push_back(below);
  return all;
}

void Module::train(bool training) {
  training_ = training;
  for (Module* child : children_) child->train(training);
}

void Module::set_trainable(bool trainable) {
  for (const NamedParameter& named : named_parameters()) {
    named.parameter->trainable = trainable;
    if (!trainable) named.parameter->grad = Tensor();
  }
}

void Module::to(const Device& device) {
  std::vector<Tensor> moved;  // all of them before the first takes its place: the device may be full
  const std::vector<NamedParameter> parameters = named_parameters();
  const std::vector<NamedBuffer> buffers = named_buffers();
  for (const NamedParameter& named : parameters) moved.push_back(named.parameter->value.to(device));
  for (const NamedBuffer& buffer : buffers) moved.push_back(buffer.value->to(device));
  auto next = moved.begin();
  for (const NamedParameter& named : parameters) {
    named.parameter->value = std::move(*next++);
    named.parameter->grad = Tensor();
  }
  for (const NamedBuffer& buffer : buffers) *buffer.value = std::move(*next++);
}

void Module::zero_grad() {
  for (const NamedParameter& named : named_parameters()) named.parameter->grad = Tensor();
}

State Module::state() const {
  State state;
  for (const NamedParameter& named : named_parameters()) state.emplace(named.name, named.parameter->value);
  for (const NamedBuffer& buffer : named_buffers()) state.emplace(buffer.name, *buffer.value);
  return state;
}

void Module::load_state(const State& state) { copy_state("load_state", this->state(), state); }

std::string Module::path() const {
  if (parent_ == nullptr) return name_;
  const std::string above = parent_->path();
  return above.empty() ? name_ : above + "." + name_;
}

void Module::add_parameter(std::string name, Parameter& parameter, Role role, const Shape& shape,
                           const Device& device, InitRule init) {
  check_new_name(name);
  parameter.name = std::move(name);
  parameter.role = role;
  // A forgotten initialize() then shows in the first loss, where zeros would train to nothing in silence.
  parameter.value =
      Tensor::full(shape, std::numeric_limits<double>::quiet_NaN(), DType::f32, device, "parameter");
  parameter.init = std::move(init);
  parameters_.push_back(&parameter);
}

void Module::add_buffer(std::string name, Tensor& buffer) {
  check_new_name(name);
  buffers_.push_back({std::move(name), &buffer});
}

void Module::add_child(std::string name, Module& child) {
  check_new_name(name);
  if (child.parent_ != nullptr)
    reject<ValueError>("module", "'{}' is already the child '{}' of another module", name, child.path());
  child.name_ = std::move(name);
  child.parent_ = this;
  children_.push_back(&child);
}

Var Module::on_tape(Parameter& parameter, const Var& x) {
  if (x.tape() == nullptr) return Var(parameter.value);
  if (!parameter.trainable) return x.tape()->input(parameter.value);
  return x.tape()->leaf(parameter.value, &parameter.grad, parameter.name);
}

std::string Module::label(const char* kind) const {
  const std::string where = path();
  return where.empty() ? std::string(kind) : fmt::format("{} '{}'", kind, where);
}

void Module::check_new_name(const std::string& name) const {
  if (name.empty() || name.find('.') != std::string::npos)
    reject<ValueError>("module", "'{}' is not a name: it must not be empty and must not contain a dot", name);
  const bool taken =
      std::any_of(parameters_.begin(), parameters_.end(), [&](const auto* p) { return p->name == name; }) ||
      std::any_of(buffers_.begin(), buffers_.end(), [&](const auto& b) { return b.name == name; }) ||
      std::any_of(children_.begin(), children_.end(), [&](const auto* m) { return m->name_ == name; });
  if (taken) reject<ValueError>("module", "the name '{}' is used twice in one module", name);
}

}  // namespace fovea::nn
