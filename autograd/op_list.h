// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <span>
#include <string_view>

#include "autograd/op_info.h"

namespace fovea {

/// An op and the page it stands on.
struct OpEntry {
  const OpInfo* info;
  std::string_view page;  ///< "autograd/ops/conv2d.h"
};

/// All ops of autograd/ops/, page by page. CMake makes the list from the `inline constexpr OpInfo` of the pages,
/// so nothing is registered by hand.
std::span<const OpEntry> op_list();

}  // namespace fovea
