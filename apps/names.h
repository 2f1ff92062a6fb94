// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <string>
#include <string_view>
#include <vector>

#include "tensor/names.h"

namespace fovea::apps {

/// throws UsageError "--split tset: expected train, validation or test; did you mean 'test'?" unless `value` is
/// one of `names`
void check_choice(std::string_view option, std::string_view value, const std::vector<std::string>& names);

}  // namespace fovea::apps
