// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <string_view>

namespace fovea::bench {

/// Which arithmetic both sides of a comparison may use; never mixed.
enum class Math {
  fp32,  ///< strict: no operand is rounded below 24 bits
  tf32,  ///< tensor cores on f32 operands rounded to 11 bits
  bf16,  ///< bf16 tensors, sums in f32
};
const char* math_name(Math math);
/// throws UsageError on another word, and on a mode that our kernels do not have yet
Math parse_math(std::string_view text);

/// Error relative to a reference in double, as ‖out − ref‖/‖ref‖, above which a side counts as wrong.
double error_limit(Math math);

}  // namespace fovea::bench
