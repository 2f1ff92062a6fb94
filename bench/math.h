// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <string_view>

#include "kernels/math.h"

namespace fovea::bench {

/// The arithmetic of both sides of a comparison, of --math; never mixed. throws UsageError on another word
Math math_option(std::string_view text);

/// Error relative to a reference in double, as ‖out − ref‖/‖ref‖, above which a side counts as wrong.
double error_limit(Math math);

}  // namespace fovea::bench
