// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstdint>
#include <span>
#include <vector>

#include "bench/case.h"
#include "tensor/tensor.h"

namespace fovea::bench {

/// Bytes of one set of these operands.
std::int64_t set_bytes(std::span<const Operand> operands);

/// Several sets of the same operands in device memory. A run that takes the next set each time finds none of its data
/// in the cache, if the sets together are large enough.
class Buffers {
 public:
  /// Inputs are random, different in each set; outputs are zeros. throws OutOfMemory
  Buffers(const Device& device, std::span<const Operand> operands, int sets, std::uint64_t seed);

  int sets() const { return static_cast<int>(pointers_.size()); }
  const std::vector<Operand>& operands() const { return operands_; }
  const Pointers& set(int index) const { return pointers_[static_cast<std::size_t>(index)]; }

  /// Of set 0. f32 operands only.
  std::vector<float> download(int operand) const;
  void upload(int operand, std::span<const float> values) const;
  /// Fills the outputs of set 0 with NaN.
  void poison() const;

 private:
  Device device_;
  std::vector<Operand> operands_;
  std::vector<Tensor> storage_;  // per operand, all sets
  std::vector<Pointers> pointers_;
};

/// The values of an [N, C, H, W] operand in channels-last order, and back. Operands of another rank stay as they are.
std::vector<float> to_channels_last(const Shape& shape, std::span<const float> values);
std::vector<float> from_channels_last(const Shape& shape, std::span<const float> values);

}  // namespace fovea::bench
