// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cudnn.h>

#include <stdexcept>
#include <string>
#include <vector>

namespace fovea::bench::cudnn {

// All that the bench calls of cuDNN.
#define FOVEA_CUDNN_FUNCTIONS(X)   \
  X(cudnnGetVersion)               \
  X(cudnnGetErrorString)           \
  X(cudnnGetLastErrorString)       \
  X(cudnnCreate)                   \
  X(cudnnDestroy)                  \
  X(cudnnSetStream)                \
  X(cudnnBackendCreateDescriptor)  \
  X(cudnnBackendDestroyDescriptor) \
  X(cudnnBackendSetAttribute)      \
  X(cudnnBackendGetAttribute)      \
  X(cudnnBackendFinalize)          \
  X(cudnnBackendExecute)           \
  X(cudnnCreateTensorDescriptor)   \
  X(cudnnDestroyTensorDescriptor)  \
  X(cudnnSetTensorNdDescriptor)    \
  X(cudnnGetTensorNdDescriptor)    \
  X(cudnnCreateDropoutDescriptor)  \
  X(cudnnDestroyDropoutDescriptor) \
  X(cudnnSetDropoutDescriptor)     \
  X(cudnnCreateRNNDescriptor)      \
  X(cudnnDestroyRNNDescriptor)     \
  X(cudnnSetRNNDescriptor_v8)      \
  X(cudnnCreateRNNDataDescriptor)  \
  X(cudnnDestroyRNNDataDescriptor) \
  X(cudnnSetRNNDataDescriptor)     \
  X(cudnnGetRNNTempSpaceSizes)     \
  X(cudnnGetRNNWeightSpaceSize)    \
  X(cudnnGetRNNWeightParams)       \
  X(cudnnRNNForward)               \
  X(cudnnRNNBackwardData_v8)       \
  X(cudnnRNNBackwardWeights_v8)

/// Its functions by their own names. cuDNN is loaded when it is asked for, not linked: a machine without it runs the
/// rest of the program.
struct Library {
#define FOVEA_CUDNN_MEMBER(name) decltype(&::name) name = nullptr;
  FOVEA_CUDNN_FUNCTIONS(FOVEA_CUDNN_MEMBER)
#undef FOVEA_CUDNN_MEMBER
};

/// cuDNN refused a call, or is not there. what() holds the call, the status and cuDNN's own explanation.
struct CudnnError : std::runtime_error {
  using std::runtime_error::runtime_error;
};

/// Where libcudnn is looked for: the loader's own places, then where it was when the build was configured.
std::vector<std::string> library_paths();
/// Loads the first of `paths` that can be loaded; a library stays until the program ends.
/// throws CudnnError with the loader's words for each path, or if a function is missing
Library load(const std::vector<std::string>& paths);
/// load(library_paths()), once. throws CudnnError, each time again
const Library& library();
/// "9.19.0"
std::string version();

/// throws CudnnError unless status is success
void check(cudnnStatus_t status, const char* call);

}  // namespace fovea::bench::cudnn
