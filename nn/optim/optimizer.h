// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <span>
#include <string>
#include <variant>
#include <vector>

#include "kernels/ops/optimizer_step.h"
#include "nn/module.h"

namespace fovea::nn {

/// Parameters that are stepped alike.
struct ParameterGroup {
  std::vector<NamedParameter> parameters;
  double lr_scale = 1.0;  ///< the group's learning rate is lr_scale times the optimizer's
  /// Coupled, as in PyTorch's Adam: weight_decay·value is added to the gradient. Of adamw() decoupled: the
  /// value is multiplied by 1 − lr·weight_decay instead.
  double weight_decay = 0.0;
};

/// Changes parameters by their gradients. Made by adam(), adamw(), sgd() and rmsprop().
///
/// A step reads learning rate, count and bias correction from device memory and nothing from the device, so that
/// its device part can be captured in a graph (tensor/graph.h) and replayed. Parameters that are not trainable are
/// left out; one without a gradient at a step is not changed by it.
class Optimizer {
 public:
  using Method = std::variant<AdamOptions, SgdOptions, RmspropOptions>;

  /// throws ValueError if no parameter is trainable, one is named twice, or a number is out of range
  Optimizer(Method method, std::vector<ParameterGroup> groups, double lr);

  /// apply_step() and count_step(). If memory runs out, nothing has changed: the working memory of the host
  /// is taken before the first parameter, and the kernels take none. (In the emulation each launch takes some;
  /// there a failed step may leave a part of the parameters updated, and a checkpoint is what helps.)
  void step();
  /// Device part, which a graph may hold: updates the parameters and the count in device memory.
  /// throws DeviceError if a parameter was moved since the optimizer was made
  void apply_step();
  /// Host part, for each replay of such a graph: counts the step.
  void count_step() { ++steps_; }
  /// Device part, before apply_step(): if the loss, or a gradient, is not finite, this step and those that follow
  /// change nothing. The host need not wait to know.
  ///
  /// loss  one element f32; undefined: only the gradients are looked at
  void stop_if_not_finite(const Tensor& loss);
  /// The step, counted from 1, at which stop_if_not_finite() found something; 0 if none. Waits for the device.
  std::int64_t stopped_at() const;
  /// The count of steps in device memory; during a step, of those before it. For RandomState::device_step.
  const std::uint32_t* device_steps() const { return &clock()->steps; }
  /// Makes all gradients undefined.
  void zero_grad();

  double lr() const { return lr_; }
  /// Sent to the device if it is another one: outside of a captured step.
  /// throws ValueError if lr is negative or not finite
  void set_lr(double lr);
  /// Steps taken so far.
  std::int64_t steps() const { return steps_; }
  /// "adam", "adamw", "sgd", "rmsprop"
  const char* name() const;

  /// "steps" (i64), "lr" (f64) and per parameter "moment1/<name>" to "moment3/<name>" as the method has them
  /// (OptimizerSlot says which is what).
  /// The moments are shared, not copied.
  State state() const;
  /// Continues where `state` was taken, bit for bit; all or nothing. Forgets stopped_at(). throws as Module::load_state
  void load_state(const State& state);

 private:
  struct Entry {
    NamedParameter named;
    Tensor moment1, moment2, moment3;  // undefined if the method has none
  };
  struct Group {
    std::vector<Entry> entries;
    double lr_scale, weight_decay;
  };

  void check_lr(double lr) const;
  std::vector<OptimizerSlot> slots() const;
  void apply(std::span<const OptimizerSlot> slots);
  OptimizerClock* clock() const { return reinterpret_cast<OptimizerClock*>(clock_.data<std::int32_t>()); }
  void start_clock() const;

  Method method_;
  std::vector<Group> groups_;
  Tensor clock_;  // an OptimizerClock
  double lr_ = 0.0;
  std::int64_t steps_ = 0;
};

/// One group of all parameters of a module.
ParameterGroup all_parameters(const Module& module, double weight_decay = 0.0);
/// Those of one role, such as weights that decay while biases do not.
ParameterGroup parameters_of(const Module& module, std::span<const Role> roles, double weight_decay = 0.0);

}  // namespace fovea::nn
