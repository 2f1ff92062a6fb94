// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <optional>
#include <string_view>

namespace fovea {

/// What matrix products and convolutions may do with their f32 operands. Tensors stay f32 and sums are made in fp32
/// in every mode; weights, statistics, losses and the optimizer's state never see it. f64 is not concerned.
///
/// fp32   nothing: every operand as it is (the default)
/// tf32   round operands to 10 bits of mantissa, unit roundoff 2^-11
/// bf16   round operands to 7 bits of mantissa, unit roundoff 2^-8
///
/// A queue has one mode from its construction to its end, so that the mode is part of what fixes its bits.
enum class Math { fp32, tf32, bf16 };

inline constexpr Math kAllMath[] = {Math::fp32, Math::tf32, Math::bf16};

constexpr const char* math_name(Math math) {
  return math == Math::fp32 ? "fp32" : math == Math::tf32 ? "tf32" : "bf16";
}

/// The mode of that name; empty if there is none.
constexpr std::optional<Math> parse_math(std::string_view name) {
  for (const Math math : kAllMath)
    if (name == math_name(math)) return math;
  return {};
}

}  // namespace fovea
