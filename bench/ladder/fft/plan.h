// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstdint>

namespace fovea::bench::ladder {

/// A length with its factors and roots of unity: cosine[k] ± i·sine[k] = exp(± 2πi·k/length).
struct Plan {
  static constexpr std::int64_t kMostLength = 256;
  static constexpr int kMostFactors = 8;
  std::int64_t length = 0;
  int factors = 0, factor[kMostFactors] = {};
  float cosine[kMostLength], sine[kMostLength];
};

/// The shortest length from `least` on that is a product of 2, 3, 4 and 5. 1 ≤ least ≤ kMostLength
Plan make_plan(std::int64_t least);

}  // namespace fovea::bench::ladder
