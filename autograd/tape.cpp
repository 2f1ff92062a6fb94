// SPDX-License-Identifier: Apache-2.0
#include "autograd/tape.h"

#include <fmt/ranges.h>

#include "kernels/ops/elementwise.h"

namespace fovea {
namespace {

Tape* find_tape(const char* op, std::span<const Var> inputs) {
  Tape* tape = nullptr;
  for (const Var& input : inputs) {
    if (input.tape() == nullptr) continue;
    if (tape != nullptr && tape != input.tape())
      reject<ValueError>(op, "inputs are recorded on two different tapes; detach() one of them");
    tape = input.tape();
  }
  return tape;
}

}  // namespace

Var Tape::leaf(Tensor value, Tensor* grad) {
  if (grad != nullptr)
    if (const auto known = by_grad_.find(grad); known != by_grad_.end())
      return Var(std::move(value), this, known->second);
  if (!recording_) return input(std::move(value));
  const int id = next_++;
  shapes_.push_back(value.shape());
  leaves_.emplace(id, grad);
  if (grad != nullptr) by_grad_.emplace(grad, id);
  return Var(std::move(value), this, id);
}

Var Tape::record(const char* op, Tensor y, std::span<const Var> inputs, Backward backward) {
  std::vector<Tensor> ys{std::move(y)};
  auto many = [backward = std::move(backward)](const Grads& dys, Needs needs) {
    return backward(dys[0], needs);
  };
  return record(op, std::move(ys), inputs, std::move(many))[0];
}

std::vector<Var> Tape::record(const char* op, std::vector<Tensor> ys, std::span<const Var> inputs,
                              BackwardMany backward) {
  std::vector<Var> results;
  bool needed = false;
  for (const Var& input : inputs) needed |= input.needs_grad();
  if (!needed || !recording_) {
    for (Tensor& y : ys) results.push_back(Var(std::move(y), this, -1));
    return results;
  }
  Record& entry = records_.emplace_back(Record{op, {}, next_, {}, std::move(backward)});
  for (const Var& input : inputs) entry.inputs.push_back(input.id());
  for (Tensor& y : ys) {
    entry.shapes.push_back(y.shape());
    shapes_.push_back(y.shape());
    results.push_back(Var(std::move(y), this, next_++));
  }
  return results;
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
  for (std::size_t r = records_.size(); r-- > 0;) {
    Record& entry = records_[r];
    Grads dys;
    bool reached = false;
    for (std::size_t k = 0; k < entry.shapes.size(); ++k) {
      Tensor& dy = grads_[static_cast<std::size_t>(entry.first_output) + k];
      reached |= dy.defined();
      dys.push_back(std::move(dy));  // nothing earlier can read it
    }
    if (reached) {
      std::uint32_t bits = 0;
      for (std::size_t i = 0; i < entry.inputs.size(); ++i)
        if (entry.inputs[i] >= 0) bits |= 1u << i;
      Grads dxs = entry.backward(dys, Needs(bits));
      for (std::size_t i = 0; i < entry.inputs.size(); ++i)
        if (entry.inputs[i] >= 0 && i < dxs.size() && dxs[i].defined())
          add_gradient(entry.inputs[i], dxs[i], entry.op);
    }
    if (!keep) entry.backward = nullptr;  // frees the tensors it held
  }
  if (!keep) {
    records_.clear();
    freed_ = next_;
  }
  for (const auto& [id, grad] : leaves_) {
    const Tensor& gradient = grads_[static_cast<std::size_t>(id)];
    if (grad == nullptr || !gradient.defined()) continue;
    if (!grad->defined()) {
      // A later pass adds into it, so it must not be a view of another gradient or of a seed.
      *grad = owned_[static_cast<std::size_t>(id)] != 0 ? gradient.contiguous("gradient")
                                                        : gradient.clone("gradient");
    } else {
      const Tensor added = gradient.contiguous("gradient");
      Tensor& sum = *grad;  // clang 14 captures no structured binding
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
  for (const Record& entry : records_)
    text += fmt::format("%{} = {}({}) -> {}\n", entry.first_output, entry.op, fmt::join(entry.inputs, ", "),
                        fmt::join(entry.shapes, ", "));
  return text;
}

Var record(const char* op, Tensor y, std::initializer_list<Var> inputs, Backward backward) {
  check_same_device(op, inputs);
  Tape* tape = find_tape(op, {inputs.begin(), inputs.size()});
  if (tape == nullptr) return Var(std::move(y));
  return tape->record(op, std::move(y), {inputs.begin(), inputs.size()}, std::move(backward));
}

std::vector<Var> record(const char* op, std::vector<Tensor> ys, std::initializer_list<Var> inputs,
                        BackwardMany backward) {
  check_same_device(op, inputs);
  Tape* tape = find_tape(op, {inputs.begin(), inputs.size()});
  if (tape == nullptr) return std::vector<Var>(ys.begin(), ys.end());
  return tape->record(op, std::move(ys), {inputs.begin(), inputs.size()}, std::move(backward));
}

Var record_constant(const char* op, Tensor y, std::initializer_list<Var> inputs) {
  for (const Var& input : inputs)
    if (input.needs_grad())
      reject<ValueError>(op, "has no gradient, but its input {} needs one; detach() it first", input.shape());
  Tape* tape = find_tape(op, {inputs.begin(), inputs.size()});
  return tape != nullptr ? tape->input(std::move(y)) : Var(std::move(y));
}

void check_same_device(const char* op, std::initializer_list<Var> inputs) {
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
