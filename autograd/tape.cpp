// SPDX-License-Identifier: Apache-2.0
#include "autograd/tape.h"

#include <fmt/ranges.h>

#include "kernels/ops/elementwise.h"

namespace fovea {
namespace {

/// A flag that has another value for a while.
class Flag {
 public:
  Flag(bool& flag, bool value) : flag_(flag), before_(flag) { flag = value; }
  ~Flag() { flag_ = before_; }
  Flag(const Flag&) = delete;
  Flag& operator=(const Flag&) = delete;

 private:
  bool& flag_;
  bool before_;
};

}  // namespace

std::string Where::str() const {
  const std::string_view path = file;
  const std::size_t room = path.rfind("autograd/");
  return fmt::format("{}:{}", room == std::string_view::npos ? path : path.substr(room), line);
}

Tape* common_tape(const char* op, std::span<const Var> inputs) {
  Tape* tape = nullptr;
  for (const Var& input : inputs) {
    if (input.tape() == nullptr) continue;
    if (tape != nullptr && tape != input.tape())
      reject<ValueError>(op, "inputs are recorded on two different tapes; detach() one of them");
    tape = input.tape();
  }
  return tape;
}

Var Tape::leaf(Tensor value, Tensor* grad, const std::string& name) {
  if (grad != nullptr)
    if (const auto known = by_grad_.find(grad); known != by_grad_.end())
      return Var(std::move(value), this, known->second);
  if (!recording_) {
    leaf_passed_ = true;
    return input(std::move(value));
  }
  const int id = next_++;
  shapes_.push_back(value.shape());
  memory_.push_back(id);
  leaves_.emplace(id, Leaf{grad, scope_.empty() ? name : scope_ + "." + name});
  if (grad != nullptr) by_grad_.emplace(grad, id);
  return Var(std::move(value), this, id);
}

/// Whose memory `value` is: an input's, or `otherwise`. Inputs are alive, so equal storage is the same storage.
int Tape::memory_of(const Tensor& value, std::span<const Var> inputs, int otherwise) const {
  for (const Var& input : inputs)
    if (value.defined() && value.shares_memory_with(input.value()))
      return input.needs_grad() ? memory_[static_cast<std::size_t>(input.id())] : kOutside;
  return otherwise;
}

/// The record without its gradient, which the caller adds.
std::vector<Var> Tape::append(const OpInfo& info, const std::vector<Tensor>& ys, std::span<const Var> inputs,
                              std::vector<Tensor> kept, Where where) {
  std::vector<Var> results;
  Record& entry =
      records_.emplace_back(Record{&info, scope_, where, ys[0].dtype(), {}, next_, {}, {}, {}, {}, {}});
  for (const Var& input : inputs)
    entry.inputs.push_back({input.id(), input.value().defined(), input.shape()});
  for (const Tensor& y : ys) {
    entry.shapes.push_back(y.shape());
    shapes_.push_back(y.shape());
    memory_.push_back(memory_of(y, inputs, next_));
    results.push_back(Var(y, this, next_++));
  }
  for (const Tensor& tensor : kept)
    entry.memory.push_back(memory_of(tensor, inputs, memory_of(tensor, results, kOwn)));
  entry.kept = std::move(kept);
  return results;
}

std::vector<Var> Tape::record(const OpInfo& info, const std::vector<Tensor>& ys, std::span<const Var> inputs,
                              std::vector<Tensor> kept, BackwardMany backward, Where where) {
  std::vector<Var> results;
  bool needed = false;
  for (const Var& input : inputs) needed |= input.needs_grad();
  if (needed && recording_) {
    results = append(info, ys, inputs, std::move(kept), where);
    records_.back().backward = std::move(backward);
  } else {
    for (const Tensor& y : ys) results.push_back(Var(y, this, -1));
  }
  if (observer_ != nullptr) observer_->computed(info, scope_, inputs, results);
  return results;
}

Var Tape::checkpoint(const OpInfo& info, std::function<Var()> f, std::span<const Var> inputs, Where where) {
  if (!recording_) return f();
  leaf_passed_ = false;
  Tensor y;
  {
    const NoGrad guard(*this);
    y = f().value();
  }
  bool needed = leaf_passed_;
  std::vector<Tensor> kept;
  for (const Var& input : inputs) {
    needed |= input.needs_grad();
    kept.push_back(input.value());
  }
  if (!needed) return input(std::move(y));
  const Var result = append(info, {std::move(y)}, inputs, std::move(kept), where)[0];
  records_.back().replay = std::move(f);
  return result;
}

void Tape::backward(const Var& loss, bool keep) {
  const Root root{loss, {}};
  backward(std::span(&root, 1), keep);
}

void Tape::backward(std::span<const Root> roots, bool keep) {
  grads_.assign(static_cast<std::size_t>(next_), Tensor());
  owned_.assign(static_cast<std::size_t>(next_), 0);
  for (const Root& root : roots) {
    if (root.var.tape() != this || !root.var.needs_grad())
      reject<ValueError>("backward", "the root {} does not depend on any leaf of this tape",
                         root.var.shape());
    if (!root.seed.defined() && root.var.value().numel() != 1)
      reject("backward", "the root {} is not a single element: reduce it to a loss or pass a seed",
             root.var.shape());
    const Tensor seed = root.seed.defined() ? root.seed
                                            : Tensor::full(root.var.shape(), 1.0, root.var.value().dtype(),
                                                           root.var.device(), "seed");
    add_gradient(root.var.id(), seed, "backward");
  }
  run_backward(0, keep);
  if (!keep) {
    records_.clear();
    freed_ = next_;
  }
  deliver();
}

/// The reverse loop, down to record `begin`.
void Tape::run_backward(std::size_t begin, bool keep) {
  for (std::size_t r = records_.size(); r-- > begin;) {
    Grads dys;
    bool reached = false;
    for (std::size_t k = 0; k < records_[r].shapes.size(); ++k) {
      Tensor& dy = grads_[static_cast<std::size_t>(records_[r].first_output) + k];
      reached |= dy.defined();
      dys.push_back(std::move(dy));  // nothing earlier can read it
    }
    if (reached && records_[r].replay) {
      replay(r, dys[0]);
    } else if (reached) {
      const Record& entry = records_[r];
      if (observer_ != nullptr) observer_->backward_begins(entry, dys);
      Grads dxs = entry.backward(dys, Needs(entry.inputs, entry.shapes), entry.kept);
      dxs.resize(entry.inputs.size());
      if (observer_ != nullptr) observer_->backward_ends(entry, dxs);
      for (std::size_t i = 0; i < entry.inputs.size(); ++i)
        if (entry.inputs[i].id >= 0 && dxs[i].defined())
          add_gradient(entry.inputs[i].id, dxs[i], entry.info->name);
    }
    if (keep) continue;
    records_[r].kept.clear();  // what nothing else holds goes back to the arena
    records_[r].replay = nullptr;
  }
}

/// Computes a checkpoint again, recorded this time at the end of the tape, and goes back through what that gave.
/// Leaves and sums of gradients are the tape's own, so every sum has the order it has without checkpoints.
void Tape::replay(std::size_t r, const Tensor& dy) {
  const std::size_t begin = records_.size();
  const std::function<Var()> f = records_[r].replay;  // records_ moves as it grows
  Var y;
  {
    const Scope scope(this, records_[r].module);
    const Flag recording(recording_, true), replaying(replaying_, true);
    y = f();
  }
  grads_.resize(static_cast<std::size_t>(next_));
  owned_.resize(static_cast<std::size_t>(next_));
  if (y.needs_grad()) add_gradient(y.id(), dy, records_[r].info->name);
  run_backward(begin, false);
  records_.erase(records_.begin() + static_cast<std::ptrdiff_t>(begin), records_.end());
}

/// Adds the gradients of leaves to where their owners want them.
void Tape::deliver() const {
  for (const auto& [id, leaf] : leaves_) {
    const Tensor& gradient = grads_[static_cast<std::size_t>(id)];
    if (leaf.grad == nullptr || !gradient.defined()) continue;
    if (!leaf.grad->defined()) {
      // A later pass adds into it, so it must not be a view of another gradient or of a seed.
      *leaf.grad = owned_[static_cast<std::size_t>(id)] != 0 ? gradient.contiguous("gradient")
                                                             : gradient.clone("gradient");
    } else {
      const Tensor added = gradient.contiguous("gradient");
      Tensor& sum = *leaf.grad;  // clang 14 captures no structured binding
      on(sum.queue(),
         [&](auto& q) { kernels::accumulate(q, sum.numel(), sum.dtype(), added.raw(), sum.raw()); });
    }
  }
}

void Tape::add_gradient(int id, const Tensor& gradient, const char* op) {
  const auto k = static_cast<std::size_t>(id);
  if (gradient.shape() != shapes_[k])
    reject(op, "the gradient {} does not have the shape {} of its input", gradient.shape(), shapes_[k]);
  if (id < freed_ && !leaves_.contains(id))  // would end here unseen
    reject<ValueError>(
        op, "the records that lead to {} were freed by an earlier backward; pass keep = true to that one",
        shapes_[k]);
  Tensor& sum = grads_[k];
  if (!sum.defined()) {
    sum = gradient;
    return;
  }
  if (owned_[k] == 0) {  // a gradient may be another's dy, or a view: never add into what we did not make
    sum = sum.clone("gradient");
    owned_[k] = 1;
  }
  const Tensor added = gradient.contiguous("gradient");
  on(sum.queue(), [&](auto& q) { kernels::accumulate(q, sum.numel(), sum.dtype(), added.raw(), sum.raw()); });
}

const Tensor& Tape::grad(const Var& leaf) const {
  static const Tensor none;
  if (leaf.tape() != this || !leaves_.contains(leaf.id()))
    reject<ValueError>("grad", "{} is not a leaf of this tape", leaf.shape());
  const auto k = static_cast<std::size_t>(leaf.id());
  return k < grads_.size() ? grads_[k] : none;
}

std::string Tape::str() const {
  std::string text;
  for (const Record& entry : records_) {
    std::vector<int> ids;
    for (const Record::Input& input : entry.inputs) ids.push_back(input.id);
    text += fmt::format("%{} = {}({}) -> {}\n", entry.first_output, entry.info->name, fmt::join(ids, ", "),
                        fmt::join(entry.shapes, ", "));
  }
  return text;
}

std::vector<Var> record_many(const OpInfo& info, const std::vector<Tensor>& ys, std::span<const Var> inputs,
                             std::initializer_list<Tensor> kept, BackwardMany backward, Where where) {
  check_same_device(info.name, inputs);
  Tape* tape = common_tape(info.name, inputs);
  if (tape == nullptr) return std::vector<Var>(ys.begin(), ys.end());
  return tape->record(info, ys, inputs, kept, std::move(backward), where);
}

Var record_constant(const OpInfo& info, Tensor y, std::initializer_list<Var> inputs) {
  for (const Var& input : inputs)
    if (input.needs_grad())
      reject<ValueError>(info.name, "has no gradient, but its input {} needs one; detach() it first",
                         input.shape());
  Tape* tape = common_tape(info.name, {inputs.begin(), inputs.size()});
  return tape != nullptr ? tape->input(std::move(y)) : Var(std::move(y));
}

void check_same_device(const char* op, std::span<const Var> inputs) {
  const Var* first = nullptr;
  for (const Var& input : inputs) {
    if (!input.value().defined()) continue;
    if (first == nullptr)
      first = &input;
    else if (!(input.device() == first->device()))
      reject<DeviceError>(op, "{} is on {} and {} on {}; move one with to()", first->shape(),
                          first->device().name(), input.shape(), input.device().name());
  }
}

void check_dtype(const char* op, const char* operand, const Tensor& x, DType expected) {
  if (x.dtype() != expected)
    reject<DTypeError>(op, "{} {} is {}, expected {}; convert it with to()", operand, x.shape(),
                       dtype_name(x.dtype()), dtype_name(expected));
}

}  // namespace fovea
