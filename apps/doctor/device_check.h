// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <optional>
#include <string>
#include <vector>

#include "tensor/device.h"

namespace fovea::apps {

/// What one device is, and whether it computes what it should.
struct DeviceReport {
  std::string name;         ///< "cpu", "simt", "cuda"
  std::string description;  ///< "cpu avx512, 2 threads"; why it is missing, if it is
  bool there = false;
  std::string fault;  ///< what the check found; empty if it passed
};

/// A convolution that is small enough for plain loops, and its gradients: x [1, 1, 4, 4], w [2, 1, 3, 3],
/// y = conv2d(x, w) [1, 2, 2, 2], loss = Σ y². All numbers are integers, exact in float on any device.
struct SelfCheck {
  std::vector<float> x, w, y, dx, dw;
};
const SelfCheck& self_check_numbers();

/// Does the above on one device and compares.
/// returns  what is wrong, in one line; empty if nothing is
std::string check_device(const Device& device);

/// cpu, simt, and cuda: the GPUs of this machine, or why there are none.
std::vector<DeviceReport> check_devices();

}  // namespace fovea::apps
