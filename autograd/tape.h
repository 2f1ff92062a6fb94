// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstdint>
#include <functional>
#include <initializer_list>
#include <span>
#include <string>
#include <unordered_map>
#include <vector>

#include "tensor/tensor.h"

namespace fovea {

class Tape;

/// A tensor and, if slopes are wanted, its place on a tape. Made by Tape::leaf and Tape::input and by ops; a
/// Var made from a bare tensor is a constant that records nothing: models run without a tape at inference.
class Var {
 public:
  Var() = default;
  Var(Tensor value) : value_(std::move(value)) {}  // NOLINT: constants are meant to convert

  const Tensor& value() const { return value_; }
  const Shape& shape() const { return value_.shape(); }
  const Device& device() const { return value_.device(); }
  const Queue& queue() const { return value_.queue(); }
  Tape* tape() const { return tape_; }
  /// Whether backward reaches this value.
  bool needs_grad() const { return id_ >= 0; }
  int id() const { return id_; }

 private:
  friend class Tape;
  Var(Tensor value, Tape* tape, int id) : value_(std::move(value)), tape_(tape), id_(id) {}

  Tensor value_;
  Tape* tape_ = nullptr;
  int id_ = -1;
};

using Grads = std::vector<Tensor>;

/// Which inputs of a record want a gradient; a backward function computes only those.
class Needs {
 public:
  explicit Needs(std::uint32_t bits) : bits_(bits) {}
  bool operator[](int input) const { return (bits_ >> input & 1u) != 0; }

 private:
  std::uint32_t bits_;
};

/// Gets dy, returns one gradient per input; those not needed may stay undefined.
using Backward = std::function<Grads(const Tensor& dy, Needs)>;
/// The same for an op of several results; a result that nobody used has an undefined dy.
using BackwardMany = std::function<Grads(const Grads& dys, Needs)>;

/// What random ops on a tape draw from: equal (seed, step) and stream names give equal numbers.
struct RandomState {
  std::uint64_t seed = 0;
  std::uint32_t step = 0;
  const std::uint32_t* device_step = nullptr;  ///< see philox::Key
};

/// The list of ops that were applied, so that slopes can be computed (reverse-mode differentiation;
/// Linnainmaa 1970). Recording order is already topological, so backward is one loop from the end. Gradients
/// are plain tensors: first order only.
///
/// A tape lives for one training step and is used by one thread. Several may exist.
class Tape {
 public:
  explicit Tape(RandomState random = {}) : random_(random) {}
  Tape(const Tape&) = delete;
  Tape& operator=(const Tape&) = delete;

  /// A value to differentiate by. If `grad` is given, backward adds into it (or sets it, if it is undefined);
  /// asking again with the same `grad` gives the same Var, so a shared parameter is one leaf.
  Var leaf(Tensor value, Tensor* grad = nullptr);
  /// A value on this tape that needs no gradient, such as a batch of data.
  Var input(Tensor value) { return Var(std::move(value), this, -1); }

  struct Root {
    Var var;
    Tensor seed;  ///< dLoss/dvar; undefined means 1 and asks for a single element
  };
  /// Fills the gradients of all leaves that `loss` depends on, and frees the records as it goes; with `keep`
  /// they stay and backward may be called again. throws ShapeError if loss is not a single element and has no
  /// seed, ValueError if it depends on no leaf or on records that are freed
  void backward(const Var& loss, bool keep = false);
  void backward(std::span<const Root> roots, bool keep = false);

  /// Gradient of a leaf after backward; undefined if no root depends on it.
  const Tensor& grad(const Var& leaf) const;

  /// While alive, ops on the tape are computed but not recorded.
  class NoGrad {
   public:
    explicit NoGrad(Tape& tape) : tape_(tape), before_(tape.recording_) { tape.recording_ = false; }
    ~NoGrad() { tape_.recording_ = before_; }
    NoGrad(const NoGrad&) = delete;
    NoGrad& operator=(const NoGrad&) = delete;

   private:
    Tape& tape_;
    bool before_;
  };
  [[nodiscard]] NoGrad no_grad() { return NoGrad(*this); }

  philox::Key key(const std::string& stream) const {
    return {random_.seed, philox::stream_id(stream.c_str()), random_.step, random_.device_step};
  }

  std::size_t size() const { return records_.size(); }
  /// One line per record: op, result shapes, ids of inputs.
  std::string str() const;

  /// For ops: record() below.
  Var record(const char* op, Tensor y, std::span<const Var> inputs, Backward backward);
  std::vector<Var> record(const char* op, std::vector<Tensor> ys, std::span<const Var> inputs,
                          BackwardMany backward);

 private:
  struct Record {
    const char* op;
    std::vector<int> inputs;  // -1: needs no gradient
    int first_output;
    std::vector<Shape> shapes;  // of the outputs
    BackwardMany backward;
  };
  void add_gradient(int id, const Tensor& gradient, const char* op);

  RandomState random_;
  bool recording_ = true;
  int next_ = 0;
  int freed_ = 0;  // results below have no record any more
  std::vector<Record> records_;
  std::vector<Shape> shapes_;  // by id
  std::vector<Tensor> grads_;  // by id, during backward; leaves keep theirs
  std::vector<char> owned_;    // whether grads_[id] may be added to in place
  std::unordered_map<int, Tensor*> leaves_;
  std::unordered_map<Tensor*, int> by_grad_;
};

/// Puts an op's result on the tape of its inputs, if there is one and an input needs a gradient; otherwise
/// the closure is dropped and with it all it holds. throws ValueError if inputs are on different tapes,
/// DeviceError if they are on different devices (both name the op).
Var record(const char* op, Tensor y, std::initializer_list<Var> inputs, Backward backward);
std::vector<Var> record(const char* op, std::vector<Tensor> ys, std::initializer_list<Var> inputs,
                        BackwardMany backward);
/// For an op without a gradient. throws ValueError if an input needs one: detach() it first.
Var record_constant(const char* op, Tensor y, std::initializer_list<Var> inputs);

/// The same value as a constant: gradients stop here.
inline Var detach(const Var& x) { return x.tape() != nullptr ? x.tape()->input(x.value()) : Var(x.value()); }

/// throws DeviceError naming op and both devices
void check_same_device(const char* op, std::initializer_list<Var> inputs);
/// throws DTypeError naming op, operand and what was expected
void check_dtype(const char* op, const char* operand, const Tensor& x, DType expected);

}  // namespace fovea
