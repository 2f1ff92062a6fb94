// SPDX-License-Identifier: Apache-2.0
#pragma once

#include "tensor/device.h"

namespace fovea::bench {

/// What the machine can do at most, measured in the same run. 0: not measured.
struct Ceilings {
  double copy_gb_s = 0;     ///< large copy or change in place, the faster one; bytes read plus bytes written
  double fp32_gflop_s = 0;  ///< fused multiply-add chains in registers
  double cache_bytes = 0;   ///< last level: what a cold run has to get past
  /// The least time that an operation of this size takes, ms; 0 if nothing was measured.
  double floor_ms(double flops, double bytes) const;
};

/// About a second. simt: nothing, an emulation has no ceilings.
/// threads  of the host that take part
Ceilings measure_ceilings(const Device& device, int threads);
/// Some milliseconds of multiply-adds on so many threads, seconds of the steady clock; always the same work.
double multiply_add_seconds(int threads);
Ceilings measure_cuda_ceilings(const Device& device);

}  // namespace fovea::bench
