// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <optional>
#include <string>

#include "bench/ceilings.h"
#include "tensor/device.h"

namespace fovea::bench {

/// What a result has to say of where it was measured. Empty: unknown, or not of this kind of device.
struct MachineFacts {
  std::string device;     ///< "cpu avx512, 2 threads"
  std::string processor;  ///< of the host
  std::string gpu, driver;
  std::string cuda;   ///< "driver for CUDA 13.1, runtime 13.0"
  std::string cudnn;  ///< "9.19.0", or why there is none
  Ceilings ceilings;
  std::optional<double> sm_clock_before, sm_clock_after;  ///< MHz
};

/// All but ceilings and clocks.
MachineFacts read_machine_facts(const Device& device);

/// What `nvidia-smi` says of a GPU's streaming multiprocessors now, MHz; empty on other devices or without the program.
std::optional<double> sm_clock_mhz(const Device& device);

}  // namespace fovea::bench
