// SPDX-License-Identifier: Apache-2.0
#pragma once

#include "tensor/device.h"

namespace fovea::test {

/// One cpu of one thread for all that a test file keeps in host memory.
inline const Device& host() {
  static const Device device = Device::cpu({.threads = 1});
  return device;
}

}  // namespace fovea::test
