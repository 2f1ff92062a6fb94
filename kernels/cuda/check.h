// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cuda_runtime_api.h>

#include <string>

#include "kernels/device_fault.h"

namespace fovea::cuda {

/// A kernel did what it must not. No call succeeds after that.
inline bool is_kernel_fault(cudaError_t error) {
  switch (error) {
    case cudaErrorIllegalAddress:
    case cudaErrorLaunchTimeout:
    case cudaErrorAssert:
    case cudaErrorHardwareStackError:
    case cudaErrorIllegalInstruction:
    case cudaErrorMisalignedAddress:
    case cudaErrorInvalidAddressSpace:
    case cudaErrorInvalidPc:
    case cudaErrorLaunchFailure:
      return true;
    default:
      return false;
  }
}

/// A call of the CUDA runtime failed. what() holds the text of the call and the runtime's own words.
class CudaError : public DeviceFault {
 public:
  CudaError(const std::string& call, cudaError_t error, const std::string& more = "")
      : DeviceFault(call + ": " + cudaGetErrorString(error) + more), code(error) {}
  cudaError_t code;
};

inline void check(cudaError_t error, const char* call) {
  if (error != cudaSuccess) throw CudaError(call, error);
}

}  // namespace fovea::cuda

/// `CHECK_CUDA(cudaMemcpyAsync(…));` throws CudaError with the text of the call.
#define CHECK_CUDA(call) ::fovea::cuda::check((call), #call)
