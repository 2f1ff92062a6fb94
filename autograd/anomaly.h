// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstdint>
#include <optional>
#include <span>
#include <stdexcept>
#include <string>
#include <unordered_map>
#include <vector>

#include "autograd/tape.h"

namespace fovea {

/// An element that is NaN or infinite.
struct BadElement {
  Shape index;  ///< one number a dimension; [] in a scalar
  double value;
};
/// The first in row-major order; empty if all elements are finite or the dtype is an integer. Reads x back from its
/// device.
std::optional<BadElement> first_bad_element(const Tensor& x);

/// What the finite elements of a tensor span, and how many are not finite.
struct ValueRange {
  std::string name;  ///< "w (conv1.weight)"
  Shape shape;
  double least = 0, greatest = 0;  ///< of the finite elements
  std::int64_t bad = 0;            ///< elements that are not finite
  /// "w (conv1.weight) [2, 4, 21, 21] in -0.12..0.13, 3 of 3528 not finite"
  std::string str() const;
};
ValueRange value_range(std::string name, const Tensor& x);

/// Where the numbers were left.
struct NonFinite {
  std::string op;      ///< "conv2d"
  std::string module;  ///< path of the module that applied it, "conv1"; empty: none
  /// By the names of the op's signature: "y", "x", "w (conv1.weight)" in the forward pass, "gradient of y",
  /// "gradient of w (conv1.weight)" in the backward pass.
  std::string tensor;
  Shape shape;
  BadElement first;
  std::vector<ValueRange> operands;  ///< what the op, or its gradient, was computed from
  /// "log in 'readout': y [4, 2] is nan at [1, 0]; from x [4, 2] in -0.5..2"
  std::string str() const;
};

/// what() is NonFinite::str().
class NonFiniteError : public std::runtime_error {
 public:
  explicit NonFiniteError(NonFinite found) : std::runtime_error(found.str()), finding(std::move(found)) {}
  NonFinite finding;
};

/// Anomaly mode: looks at every value that a tape computes, forward and backward, and stops at the first that is not a
/// finite number, which is where the trouble began.
///
///     AnomalyCheck check;
///     Tape tape({seed, step}, &check);
///     tape.backward(loss_of(model(tape.input(batch))));   // throws NonFiniteError
///
/// Each op waits for the device and has its tensors copied to the host, so this is for finding a fault, not for
/// training; a tape without it does nothing more than before. An input is only looked at where no op of the tape made
/// it: data and parameters. Ops on bare tensors, without a tape, are not seen.
class AnomalyCheck final : public TapeObserver {
 public:
  void computed(const OpInfo& info, const std::string& module, std::span<const Var> inputs,
                std::span<const Var> results) override;
  void backward_begins(const Tape::Record& record, const Grads& dys) override;
  void backward_ends(const Tape::Record& record, const Grads& dxs) override;

 private:
  std::string input_name(const OpInfo& info, std::size_t place, int id) const;

  std::unordered_map<int, std::string> leaf_names_;  // by id
  std::vector<ValueRange> slopes_;                   // dy of the record that is being passed
};

}  // namespace fovea
