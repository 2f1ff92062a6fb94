// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <concepts>

#include "autograd/tape.h"

namespace fovea {

inline constexpr OpInfo checkpoint_info{
    .name = "checkpoint",
    .dtypes = "all",
    .gradient = "f is computed again and recorded, then its own gradients",
    .keeps = "inputs"};

/// f(inputs…) without what its gradient needs: backward computes f a second time. A stack of n blocks then keeps
/// n inputs and, while it goes back through one block, that block; time grows by one forward pass at most.
///
///     h = checkpoint([&](const Var& x) { return block(x); }, h);
///
/// f        gives one Var of its inputs and of parameters (Module::on_tape); called again in backward, so what it
///          refers to must live until then. May call checkpoint() itself
/// first, rest  the inputs: kept, and nothing else
/// returns  f(inputs…), the same bits; on backward, the same bits in every gradient: random ops draw the same
///          numbers, and running statistics move only the first time
/// throws   as f
/// source   Griewank and Walther 2000 (revolve); Chen, Xu, Zhang, Guestrin 2016, arXiv 1604.06174
template <class F, std::same_as<Var>... V>
Var checkpoint(F f, const Var& first, const V&... rest) {
  const Var all[] = {first, rest...};
  Tape* tape = common_tape(checkpoint_info.name, all);
  if (tape == nullptr) return f(first, rest...);
  return tape->checkpoint(
      checkpoint_info, [f, first, rest...] { return f(first, rest...); }, all, Where::here());
}

}  // namespace fovea
