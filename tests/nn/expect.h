// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <exception>
#include <string>
#include <vector>

#include "nn/module.h"
#include "tests/device_under_test.h"

namespace fovea::test {

using Floats = std::vector<float>;
using Names = std::vector<std::string>;

/// The text of what f throws.
template <class F>
std::string message(F&& f) {
  try {
    f();
  } catch (const std::exception& error) {
    return error.what();
  }
  return "nothing was thrown";
}

inline Tensor floats(const Floats& values, const Shape& shape, const Device& device) {
  return Tensor::from(values, shape, device);
}

inline Floats values(const Tensor& x) { return x.to_vector<float>(); }
inline Floats values(const Var& x) { return values(x.value()); }

/// Of parameters and buffers, in alphabetical order.
inline Names state_names(const nn::Module& module) {
  Names result;
  for (const auto& [name, tensor] : module.state()) result.push_back(name);
  return result;
}

/// The cpu, and the device to be compared with it: the one of the command line (--device), else simt.
inline std::vector<Device> both_devices() {
  return {Device::cpu(), device_under_test() == "cuda" ? Device::cuda() : Device::simt()};
}

}  // namespace fovea::test
