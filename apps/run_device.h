// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <string>

#include "apps/config.h"
#include "tensor/device.h"

namespace fovea::apps {

/// The device to train on: `name` as --device takes it ("auto" is Device::best()), computing in the run's train.math.
/// throws UsageError if that is the cpu and the math another than fp32; DeviceError as Device::parse()
Device training_device(const std::string& name, const Config& config);

/// The same for what only looks at a run: the cpu computes in fp32, whatever train.math is.
/// throws DeviceError as Device::parse()
Device viewing_device(const std::string& name, const Config& config);

}  // namespace fovea::apps
