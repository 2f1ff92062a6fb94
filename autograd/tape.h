// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstdint>
#include <functional>
#include <initializer_list>
#include <span>
#include <string>
#include <type_traits>
#include <unordered_map>
#include <vector>

#include "autograd/op_info.h"
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

/// An input of a record.
struct RecordInput {
  int id;      ///< of the Var; -1: needs no gradient
  bool given;  ///< false for an operand that is left out, Var()
  Shape shape;
};

/// Which inputs of a record want a gradient; a backward function computes only those. Also the shapes, for
/// ops with any number of inputs or results, whose rule cannot hold them itself.
class Needs {
 public:
  Needs(std::span<const RecordInput> inputs, std::span<const Shape> results)
      : inputs_(inputs), results_(results) {}
  bool operator[](int input) const { return at(input).id >= 0; }
  int inputs() const { return static_cast<int>(inputs_.size()); }
  const Shape& input_shape(int input) const { return at(input).shape; }
  const Shape& result_shape(int result) const { return results_[static_cast<std::size_t>(result)]; }

 private:
  const RecordInput& at(int input) const { return inputs_[static_cast<std::size_t>(input)]; }
  std::span<const RecordInput> inputs_;
  std::span<const Shape> results_;
};

/// The tensors that record() was given to keep, in its order.
using Kept = std::span<const Tensor>;
/// Gets dy, returns one gradient per input; those not needed may stay undefined.
using Backward = std::function<Grads(const Tensor& dy, Needs, Kept)>;
/// The same for an op of several results; a result that nobody used has an undefined dy.
using BackwardMany = std::function<Grads(const Grads& dys, Needs, Kept)>;

/// A line of a source file, as the compiler knew it.
struct Where {
  const char* file;
  int line;
  /// Of the caller: the defaults are filled in where the outermost call stands.
  static constexpr Where here(const char* file = __builtin_FILE(), int line = __builtin_LINE()) {
    return {file, line};
  }
  /// "autograd/ops/conv2d.h:102", from the room on wherever the sources lie; of other files the whole path.
  std::string str() const;
};

/// What random ops on a tape draw from: equal (seed, step) and stream names give equal numbers.
struct RandomState {
  std::uint64_t seed = 0;
  std::uint32_t step = 0;
  const std::uint32_t* device_step = nullptr;  ///< see philox::Key
};

class TapeObserver;

/// The list of ops that were applied, so that slopes can be computed (reverse-mode differentiation;
/// Linnainmaa 1970). Recording order is already topological, so backward is one loop from the end. Gradients
/// are plain tensors: first order only.
///
/// A tape lives for one training step and is used by one thread. Several may exist.
class Tape {
 public:
  /// observer  is told of every op, forward and backward; must outlive the tape
  explicit Tape(RandomState random = {}, TapeObserver* observer = nullptr)
      : random_(random), observer_(observer) {}
  Tape(const Tape&) = delete;
  Tape& operator=(const Tape&) = delete;

  /// A value to differentiate by. If `grad` is given, backward adds into it (or sets it, if it is undefined);
  /// asking again with the same `grad` gives the same Var, so a shared parameter is one leaf. `name` is for
  /// listings; the module in scope stands before it.
  Var leaf(Tensor value, Tensor* grad = nullptr, const std::string& name = "");
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

  /// While alive, records and leaves carry this name of a module. Without a tape it does nothing.
  class Scope {
   public:
    Scope(Tape* tape, std::string module) : tape_(tape), before_(std::move(module)) { swap(); }
    ~Scope() { swap(); }
    Scope(const Scope&) = delete;
    Scope& operator=(const Scope&) = delete;

   private:
    void swap() {
      if (tape_ != nullptr) tape_->scope_.swap(before_);
    }
    Tape* tape_;
    std::string before_;
  };

  philox::Key key(const std::string& stream) const {
    return {random_.seed, philox::stream_id(stream.c_str()), random_.step, random_.device_step};
  }
  /// Whether a checkpoint (autograd/checkpoint.h) is being computed again: what a forward pass changes besides
  /// its result, such as running statistics, was changed the first time.
  bool replaying() const { return replaying_; }

  /// Whose memory a kept tensor is, where it is not a value of the tape.
  enum Memory : int {
    kOutside = -1,  ///< a constant or data: alive anyway
    kOwn = -2,      ///< made for the gradient: statistics, or a contiguous copy
  };
  /// One applied op: what it was, on what, what it keeps alive, and how its gradient is computed.
  struct Record {
    using Input = RecordInput;
    const OpInfo* info;
    std::string module;  ///< path of the innermost module in scope; empty: none
    Where where;         ///< of the record() call, where the gradient rule stands
    DType dtype;         ///< of the first result
    std::vector<Input> inputs;
    int first_output;           ///< id of the first result; the others follow
    std::vector<Shape> shapes;  ///< of the results
    std::vector<Tensor> kept;
    std::vector<int> memory;  ///< of each kept tensor: the id whose result or leaf it is a view of, or Memory
    BackwardMany backward;
    std::function<Var()> replay;  ///< of a checkpoint, instead of backward
  };
  /// In the order of recording; empty after backward.
  std::span<const Record> records() const { return records_; }
  std::size_t size() const { return records_.size(); }
  bool is_leaf(int id) const { return leaves_.contains(id); }
  /// "conv1.weight"; empty if the leaf has no name.
  const std::string& leaf_name(int id) const { return leaves_.at(id).name; }
  /// One line per record: op, result shapes, ids of inputs.
  std::string str() const;

  /// For ops: record() below.
  std::vector<Var> record(const OpInfo& info, const std::vector<Tensor>& ys, std::span<const Var> inputs,
                          std::vector<Tensor> kept, BackwardMany backward, Where where);
  /// For checkpoint().
  Var checkpoint(const OpInfo& info, std::function<Var()> f, std::span<const Var> inputs, Where where);

 private:
  struct Leaf {
    Tensor* grad;
    std::string name;
  };
  std::vector<Var> append(const OpInfo& info, const std::vector<Tensor>& ys, std::span<const Var> inputs,
                          std::vector<Tensor> kept, Where where);
  void add_gradient(int id, const Tensor& gradient, const char* op);
  void run_backward(std::size_t begin, bool keep);
  void replay(std::size_t r, const Tensor& dy);
  int memory_of(const Tensor& value, std::span<const Var> inputs, int otherwise) const;
  void deliver() const;

  RandomState random_;
  TapeObserver* observer_;
  std::string scope_;
  bool recording_ = true, replaying_ = false;
  bool leaf_passed_ = false;  // a leaf was asked for while nothing was recorded
  int next_ = 0;
  int freed_ = 0;  // results below have no record any more
  std::vector<Record> records_;
  std::vector<Shape> shapes_;  // by id
  std::vector<int> memory_;    // by id: whose memory it is, itself unless it is a view
  std::vector<Tensor> grads_;  // by id, during backward; leaves keep theirs
  std::vector<char> owned_;    // whether grads_[id] may be added to in place
  std::unordered_map<int, Leaf> leaves_;
  std::unordered_map<Tensor*, int> by_grad_;
};

/// Is told what a tape does as it does it: for traces, memory plans, checks of values.
class TapeObserver {
 public:
  virtual ~TapeObserver() = default;
  /// An op was computed, recorded or not. `module` is the one in scope.
  virtual void computed(const OpInfo&, const std::string& /*module*/, std::span<const Var> /*inputs*/,
                        std::span<const Var> /*results*/) {}
  virtual void backward_begins(const Tape::Record&, const Grads& /*dys*/) {}
  /// One slope per input, undefined where none was asked for; those of a checkpoint are told record by record
  virtual void backward_ends(const Tape::Record&, const Grads& /*dxs*/) {}
};

/// The tape of the inputs; null if they have none. throws ValueError naming op if there are two
Tape* common_tape(const char* op, std::span<const Var> inputs);
/// record() without the tape: checks devices, then records or wraps.
std::vector<Var> record_many(const OpInfo& info, const std::vector<Tensor>& ys, std::span<const Var> inputs,
                             std::initializer_list<Tensor> kept, BackwardMany backward, Where where);

/// Puts an op's result on the tape of its inputs, if there is one and an input needs a gradient; otherwise
/// everything is dropped.
///
/// info      of static lifetime
/// kept      tensors that the gradient reads, as info.keeps names them; one that this call does not need is
///           undefined. They are freed when backward has passed
/// backward  called with dy, what is needed, and `kept`. It holds numbers only, never a tensor: so the tape
///           knows all that is kept, and by whom
/// throws    ValueError if inputs are on different tapes, DeviceError if they are on different devices (both
///           name the op)
template <class F>
Var record(const OpInfo& info, Tensor y, std::span<const Var> inputs, std::initializer_list<Tensor> kept,
           F backward, Where where = Where::here()) {
  static_assert(std::is_trivially_copyable_v<F>,
                "a gradient rule holds no tensors: give them to record() to keep");
  auto many = [backward](const Grads& dys, Needs needs, Kept tensors) -> Grads {
    return backward(dys[0], needs, tensors);
  };
  return record_many(info, {std::move(y)}, inputs, kept, many, where)[0];
}
/// For a number of inputs that is known when the op is written.
template <class F>
Var record(const OpInfo& info, Tensor y, std::initializer_list<Var> inputs,
           std::initializer_list<Tensor> kept, F backward, Where where = Where::here()) {
  return record(info, std::move(y), std::span<const Var>(inputs.begin(), inputs.size()), kept, backward,
                where);
}
/// The same for an op of several results, with a BackwardMany.
template <class F>
std::vector<Var> record(const OpInfo& info, const std::vector<Tensor>& ys, std::initializer_list<Var> inputs,
                        std::initializer_list<Tensor> kept, F backward, Where where = Where::here()) {
  static_assert(std::is_trivially_copyable_v<F>,
                "a gradient rule holds no tensors: give them to record() to keep");
  return record_many(info, ys, {inputs.begin(), inputs.size()}, kept, backward, where);
}
Var record(OpInfo&&, Tensor, std::initializer_list<Var>, std::initializer_list<Tensor>, Backward) = delete;
/// For an op without a gradient. throws ValueError if an input needs one: detach() it first.
Var record_constant(const OpInfo& info, Tensor y, std::initializer_list<Var> inputs);

/// The same value as a constant: gradients stop here.
inline Var detach(const Var& x) { return x.tape() != nullptr ? x.tape()->input(x.value()) : Var(x.value()); }

/// throws DeviceError naming op and both devices
void check_same_device(const char* op, std::span<const Var> inputs);
inline void check_same_device(const char* op, std::initializer_list<Var> inputs) {
  check_same_device(op, std::span<const Var>(inputs.begin(), inputs.size()));
}
/// throws DTypeError naming op, operand and what was expected
void check_dtype(const char* op, const char* operand, const Tensor& x, DType expected);

}  // namespace fovea
