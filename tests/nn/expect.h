// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <exception>
#include <string>
#include <vector>

#include "tensor/tensor.h"

namespace fovea::test {

using Floats = std::vector<float>;

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

}  // namespace fovea::test
