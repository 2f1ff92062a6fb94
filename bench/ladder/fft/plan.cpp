// SPDX-License-Identifier: Apache-2.0
#include "bench/ladder/fft/plan.h"

#include <cassert>
#include <cmath>
#include <initializer_list>
#include <numbers>

namespace fovea::bench::ladder {

Plan make_plan(std::int64_t least) {
  assert(least >= 1 && least <= Plan::kMostLength);
  Plan plan;
  std::int64_t rest = 0;
  for (plan.length = least;; ++plan.length) {  // 256 ends it
    rest = plan.length;
    plan.factors = 0;
    for (const int f : {5, 4, 3, 2})
      for (; rest % f == 0; rest /= f) plan.factor[plan.factors++] = f;
    if (rest == 1) break;
  }
  for (std::int64_t k = 0; k < plan.length; ++k) {
    const double angle = 2 * std::numbers::pi * static_cast<double>(k) / static_cast<double>(plan.length);
    plan.cosine[k] = static_cast<float>(std::cos(angle));
    plan.sine[k] = static_cast<float>(std::sin(angle));
  }
  return plan;
}

}  // namespace fovea::bench::ladder
