// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <string>

namespace fovea::test {

/// The device named on the command line: "cpu" (default), "simt" or "cuda".
const std::string& device_under_test();
void set_device_under_test(const std::string& name);

}  // namespace fovea::test
