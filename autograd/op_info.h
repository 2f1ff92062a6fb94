// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <string_view>

namespace fovea {

/// What an op's page says about the op, for `fovea ops`, `fovea explain` and generated pages. One constexpr of
/// it per op stands in autograd/ops/, next to the docstring; record() takes it, so that the tape knows what was
/// applied. Formulas are text for people, and autograd/cost.h computes them.
struct OpInfo {
  const char* name;
  std::string_view dtypes = "f32";  ///< words: "f32 f64"
  /// Operands in the order of record()'s, their extents under names: "x[N, C, S...] bias[C]? -> y[N, C, S...]".
  /// `S...` is the product of the extents that are left, `?` an operand that may be absent. Equal names are
  /// equal extents; those of an absent operand are 0. Behind the last operand of a side, `...` stands for any
  /// number more of its kind, and its names for the sums of their extents: "x[m...]... -> y[n...]".
  std::string_view signature = "";
  /// Formulas in the symbols of the signature, with + - · / ( ). An operand's own name is 1 if it is given, else
  /// 0; dx is 1 if the gradient of x is asked for, else 0; E is the size of one element in bytes. A function
  /// such as exp counts as many operations as its polynomial has.
  std::string_view flops = "0";    ///< of the forward pass
  std::string_view bytes = "0";    ///< least traffic of the forward pass, each tensor moved once
  std::string_view gradient = "";  ///< the rule, in the names of the signature; empty: there is none
  std::string_view gradient_flops = "0";
  std::string_view keeps = "";  ///< words: what record() is given to keep, in its order
  bool deterministic = true;    ///< same input, device and build give the same bits

  constexpr bool has_gradient() const { return !gradient.empty(); }
};

}  // namespace fovea
