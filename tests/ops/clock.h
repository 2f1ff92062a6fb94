// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <algorithm>
#include <array>
#include <bit>
#include <cstdint>
#include <vector>

#include "kernels/ops/optimizer_step.h"
#include "tensor/tensor.h"

namespace fovea::test {

/// A clock in device memory.
struct Clock {
  Clock(const OptimizerClock& value, const Device& device) {
    const auto words = std::bit_cast<std::array<std::int32_t, 5>>(value);
    tensor = Tensor::from(std::vector<std::int32_t>(words.begin(), words.end()), {5}, device);
  }
  OptimizerClock* at() const { return reinterpret_cast<OptimizerClock*>(tensor.data<std::int32_t>()); }
  OptimizerClock value() const {
    std::array<std::int32_t, 5> words{};
    const auto all = tensor.to_vector<std::int32_t>();
    std::copy(all.begin(), all.end(), words.begin());
    return std::bit_cast<OptimizerClock>(words);
  }
  Tensor tensor;
};

}  // namespace fovea::test
