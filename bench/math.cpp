// SPDX-License-Identifier: Apache-2.0
#include "bench/math.h"

#include <fmt/format.h>

#include <string>

#include "apps/exit_code.h"
#include "apps/names.h"

namespace fovea::bench {

const char* math_name(Math math) {
  switch (math) {
    case Math::fp32:
      return "fp32";
    case Math::tf32:
      return "tf32";
    case Math::bf16:
      return "bf16";
  }
  return "?";
}

Math parse_math(std::string_view text) {
  apps::check_choice("--math", text, {"fp32", "tf32", "bf16"});
  // The one place that opens up once devices have a math mode: our kernels know fp32 only.
  if (text != "fp32")
    throw apps::UsageError(fmt::format("--math {}: our kernels have fp32 only so far", text));
  return Math::fp32;
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
