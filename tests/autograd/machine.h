// SPDX-License-Identifier: Apache-2.0
#pragma once

#include "tests/nn/expect.h"

namespace fovea::test {

/// The device of one test (--device; the cpu unless that is given): its tensors, and what of them is alive.
struct Machine {
  Device device =
      device_under_test() == "cpu" ? Device::cpu({.threads = 1}) : Device::parse(device_under_test());
  Tensor operator()(const Floats& values) const {
    return floats(values, {static_cast<std::int64_t>(values.size())}, device);
  }
  Tensor scalar(float value) const { return floats({value}, {}, device); }
  std::size_t live_bytes() const { return device.arena().stats().live_bytes; }
};

}  // namespace fovea::test
