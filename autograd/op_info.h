// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <string_view>

namespace fovea {

/// What an op's page says about the op, for listings and generated pages. One constexpr of it per op stands
/// in autograd/ops/, next to the docstring.
struct OpInfo {
  std::string_view name;
  std::string_view dtypes = "f32";
  bool gradient = true;
  bool deterministic = true;    ///< same input, device and build give the same bits
  std::string_view flops = "";  ///< of the forward pass, as a formula in the symbols of the docstring
  std::string_view bytes = "";  ///< least traffic of the forward pass, each tensor moved once
};

}  // namespace fovea
