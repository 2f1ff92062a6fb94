// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cuda_runtime_api.h>

#include <stdexcept>
#include <string>

namespace fovea::cuda {

/// A call of the CUDA runtime failed. what() holds the text of the call and the runtime's own words.
class CudaError : public std::runtime_error {
 public:
  CudaError(const std::string& call, cudaError_t error)
      : std::runtime_error(call + ": " + cudaGetErrorString(error) + hint(error)), code(error) {}
  cudaError_t code;

 private:
  /// Without a driver the first call says "driver version is insufficient", which sends readers astray.
  static const char* hint(cudaError_t error) {
    return error == cudaErrorInsufficientDriver || error == cudaErrorNoDevice ? " (no NVIDIA GPU or driver)"
                                                                              : "";
  }
};

inline void check(cudaError_t error, const char* call) {
  if (error != cudaSuccess) throw CudaError(call, error);
}

}  // namespace fovea::cuda

/// `CHECK_CUDA(cudaMemcpyAsync(…));` throws CudaError with the text of the call.
#define CHECK_CUDA(call) ::fovea::cuda::check((call), #call)
