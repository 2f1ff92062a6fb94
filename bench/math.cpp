// SPDX-License-Identifier: Apache-2.0
#include "bench/math.h"

#include <string>

#include "apps/names.h"

namespace fovea::bench {

Math math_option(std::string_view text) {
  apps::check_choice("--math", std::string(text), {"fp32", "tf32", "bf16"});
  return *parse_math(text);
}

double error_limit(Math math) {
  switch (math) {
    case Math::fp32:
      return 1e-4;  // sums of 10^5..10^6 terms in f32 lie one to two orders below
    case Math::tf32:
      return 5e-3;
    case Math::bf16:
      return 3e-2;
  }
  return 0.0;
}

}  // namespace fovea::bench
