// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <map>
#include <string>
#include <string_view>
#include <vector>

#include "autograd/tape.h"

namespace fovea {

/// Numbers under the names of an OpInfo's signature.
using Symbols = std::map<std::string, double, std::less<>>;

/// The symbols of one applied op, as OpInfo describes them. throws ValueError naming the op if its signature
/// does not fit what was recorded: another number of operands or extents, or one symbol for two extents
Symbols symbols_of(const Tape::Record& entry);

/// "2·N·(C - 1)" with N and C from `symbols`. throws ValueError with formula and place
double evaluate(std::string_view formula, const Symbols& symbols);

struct Cost {
  double flops = 0;           ///< of the forward pass
  double bytes = 0;           ///< that the forward pass moves at least
  double gradient_flops = 0;  ///< of the gradients that are asked for
};
/// Of an op without a signature, nothing. throws ValueError as above
Cost cost_of(const Tape::Record& entry);

/// "x gamma mean" → {"x", "gamma", "mean"}: of OpInfo's lists.
std::vector<std::string_view> words(std::string_view list);

}  // namespace fovea
