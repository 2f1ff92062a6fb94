// SPDX-License-Identifier: Apache-2.0
#pragma once

#include "kernels/cpu/counts.h"

namespace fovea::cpu {
namespace {

/// Reads memory in order, one word of each cache line: the processor foresees that, but not a reader who strides
/// from plane to plane and would wait for each line. (Four times the speed where the lines come from memory.)
[[maybe_unused]] void fetch(const float* from, Index floats) {
  for (Index i = 0; i < floats; i += 16) (void)*static_cast<const volatile float*>(from + i);
}

}  // namespace
}  // namespace fovea::cpu
