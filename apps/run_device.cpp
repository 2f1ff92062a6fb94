// SPDX-License-Identifier: Apache-2.0
#include "apps/run_device.h"

#include <fmt/format.h>

#include "kernels/math.h"

namespace fovea::apps {
namespace {

bool is_cpu(const std::string& name) {
  return name == "cpu" || (name == "auto" && !Device::cuda_missing_reason().empty());
}

Device open(const std::string& name, Math math) {
  return name == "auto" ? Device::best(math) : Device::parse(name, math);
}

Math math_of(const Config& config) { return parse_math(config.text("train.math")).value_or(Math::fp32); }

}  // namespace

Device training_device(const std::string& name, const Config& config) {
  const Math math = math_of(config);
  if (math != Math::fp32 && is_cpu(name))
    throw UsageError(fmt::format(
        "train.math = {} is for GPUs, and the cpu multiplies in fp32 only; give --device cuda (or simt, "
        "its emulation), or --set train.math=fp32",
        math_name(math)));
  return open(name, math);
}

Device viewing_device(const std::string& name, const Config& config) {
  return open(name, is_cpu(name) ? Math::fp32 : math_of(config));
}

}  // namespace fovea::apps
