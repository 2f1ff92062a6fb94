// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstdint>
#include <functional>
#include <string>
#include <vector>

#include "autograd/tape.h"
#include "nn/state.h"

namespace fovea::nn {

/// Fills a tensor with its starting values; those in nn/init.h draw from `key`.
using InitRule = std::function<void(const Tensor& value, philox::Key key)>;

/// What a parameter does in its layer: which ones an L2 penalty or an initialisation is meant for.
enum class Role {
  weight,  ///< of a linear map or a convolution: [out, in, …]
  bias,
  scale,  ///< of a normalisation
  shift,
};

/// A tensor that training changes.
struct Parameter {
  std::string name;  ///< within its module: "weight"
  Tensor value;
  Tensor grad;  ///< backward adds into it; undefined after zero_grad()
  Role role = Role::weight;
  bool trainable = true;  ///< if false, it is a constant: no gradient, no optimizer step
  InitRule init;          ///< the rule initialize() uses unless told otherwise
};

struct NamedParameter {
  std::string name;  ///< path below the module that was asked: "conv1.weight"
  Parameter* parameter;
};

struct NamedBuffer {
  std::string name;
  Tensor* value;
};

/// Part of a model: parameters, buffers and children under names, and a forward function. A layer derives
/// from it and is final; a model derives from it and holds layers as members.
///
///     class Readout final : public Module {
///      public:
///       explicit Readout(const Device& device) : fc_(64, 5, device) { add_child("fc", fc_); }
///       Var forward(const Var& x) override { return softplus(fc_(flatten(x))); }
///      private:
///       Linear fc_;
///     };
///
/// Whether gradients are recorded is decided by x alone: with tape.input(batch) parameters become leaves of
/// that tape, with a bare tensor nothing is recorded. A new module is in training mode, and its random
/// parameters are NaN until initialize() (nn/init.h) or load_state() fills them.
///
/// A module stays where it was made: parents, optimizers and tapes point at it.
class Module {
 public:
  virtual ~Module() = default;
  Module(const Module&) = delete;
  Module& operator=(const Module&) = delete;

  virtual Var forward(const Var& x) = 0;
  /// forward(), under this module's name on x's tape: what is recorded says who did it.
  Var operator()(const Var& x) {
    const Tape::Scope scope(x.tape(), x.tape() != nullptr ? path() : std::string());
    return forward(x);
  }

  /// Own ones first, then those of the children, in the order of registration; names as in PyTorch. They point
  /// into the module, so a temporary one is not asked.
  std::vector<NamedParameter> named_parameters() const&;
  std::vector<NamedParameter> named_parameters() const&& = delete;
  std::vector<NamedBuffer> named_buffers() const&;
  std::vector<NamedBuffer> named_buffers() const&& = delete;
  /// Elements of all parameters, trainable or not.
  std::int64_t parameter_count() const;

  /// This module and all below it, parents first.
  std::vector<Module*> modules() &;

  /// This module and all below it, until the next call on it or on one of its parents. BatchNorm and noise behave
  /// differently in training.
  void train(bool training = true);
  void eval() { train(false); }
  bool training() const { return training_; }
  /// Freezes (false) or frees all parameters of this subtree, until the next call on it or on one of its parents.
  /// Two things are left as they are: train()/eval(), and the statistics of BatchNorm. A part that does not move at
  /// all is frozen by set_trainable(false) and set_mode(part, BatchNormMode::frozen).
  void set_trainable(bool trainable);

  /// Moves parameters and buffers, all or none; gradients are dropped. Optimizers are to be made afterwards.
  void to(const Device& device);
  void zero_grad();

  /// Parameters and buffers by name; the tensors are shared with the module, not copied.
  State state() const;
  /// Copies values in, converting dtype and device. Nothing is changed unless all names and shapes fit.
  /// throws ValueError naming what is missing, unexpected (with the nearest name) or of another shape
  void load_state(const State& state);

  /// Names from the root of the tree to here, joined by dots; empty for the root. The random numbers of a
  /// module come from the stream of this name, so they do not depend on what else the model holds.
  std::string path() const;

  /// The parameter as an operand for an op on x: a leaf of x's tape, if there is one.
  static Var on_tape(Parameter& parameter, const Var& x);

 protected:
  Module() = default;

  /// Registration, in the constructor of the derived class. Names must be new to the module, not empty and
  /// without dots; throws ValueError.
  /// The parameter is made here: f32, filled with NaN until its rule runs.
  void add_parameter(std::string name, Parameter& parameter, Role role, const Shape& shape,
                     const Device& device, InitRule init);
  void add_buffer(std::string name, Tensor& buffer);
  /// The child must outlive this module, as a member does. throws ValueError if it has a parent already
  void add_child(std::string name, Module& child);

  /// "linear 'readout.fc'", for errors.
  std::string label(const char* kind) const;

 private:
  void check_new_name(const std::string& name) const;
  template <class F>
  void visit(const std::string& prefix, const F& f) const;

  std::string name_;
  const Module* parent_ = nullptr;
  bool training_ = true;
  std::vector<Parameter*> parameters_;
  std::vector<NamedBuffer> buffers_;
  std::vector<Module*> children_;
};

}  // namespace fovea::nn
