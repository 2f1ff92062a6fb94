// SPDX-License-Identifier: Apache-2.0
#pragma once

#include "bench/case.h"

/// Operands of a case as its kernels and its reference read them.
namespace fovea::bench {

inline const float* in(const Pointers& p, std::size_t k) { return static_cast<const float*>(p[k]); }
inline float* out(const Pointers& p, std::size_t k) { return static_cast<float*>(p[k]); }

/// Element i of an operand's host copy.
inline double at(const HostValues& host, std::size_t operand, std::int64_t i) {
  return host[operand][static_cast<std::size_t>(i)];
}

}  // namespace fovea::bench
