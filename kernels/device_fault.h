// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <stdexcept>

namespace fovea {

/// A device failed at work: a kernel did what it must not, or a call of the device's runtime failed. What the device has
/// computed since it last answered is lost, and after a kernel's fault a GPU does nothing more for this process.
///
/// what()  one line: the call or the kernel, and what the runtime or the emulation says
struct DeviceFault : std::runtime_error {
  using std::runtime_error::runtime_error;
};

}  // namespace fovea
