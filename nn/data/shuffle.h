// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstdint>
#include <vector>

#include "kernels/philox.h"

namespace fovea::nn {

/// 0 … count-1 in an order drawn from `key`; the same on every machine.
/// source  Fisher and Yates 1938, in Durstenfeld's form
std::vector<std::int64_t> shuffled(std::int64_t count, const philox::Key& key);

}  // namespace fovea::nn
