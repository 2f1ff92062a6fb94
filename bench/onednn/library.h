// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <oneapi/dnnl/dnnl.h>

#include <stdexcept>
#include <string>
#include <vector>

namespace fovea::bench::onednn {

// All that the bench calls of oneDNN.
#define FOVEA_ONEDNN_FUNCTIONS(X)                            \
  X(dnnl_version)                                            \
  X(dnnl_engine_create)                                      \
  X(dnnl_engine_destroy)                                     \
  X(dnnl_stream_create)                                      \
  X(dnnl_stream_destroy)                                     \
  X(dnnl_stream_wait)                                        \
  X(dnnl_memory_desc_create_with_strides)                    \
  X(dnnl_memory_desc_create_with_tag)                        \
  X(dnnl_memory_desc_clone)                                  \
  X(dnnl_memory_desc_destroy)                                \
  X(dnnl_memory_desc_equal)                                  \
  X(dnnl_memory_desc_get_size)                               \
  X(dnnl_memory_create)                                      \
  X(dnnl_memory_destroy)                                     \
  X(dnnl_primitive_create)                                   \
  X(dnnl_primitive_destroy)                                  \
  X(dnnl_primitive_execute)                                  \
  X(dnnl_primitive_desc_destroy)                             \
  X(dnnl_primitive_desc_query)                               \
  X(dnnl_primitive_desc_query_md)                            \
  X(dnnl_reorder_primitive_desc_create)                      \
  X(dnnl_convolution_forward_primitive_desc_create)          \
  X(dnnl_convolution_backward_data_primitive_desc_create)    \
  X(dnnl_convolution_backward_weights_primitive_desc_create) \
  X(dnnl_pooling_forward_primitive_desc_create)              \
  X(dnnl_pooling_backward_primitive_desc_create)             \
  X(dnnl_batch_normalization_forward_primitive_desc_create)  \
  X(dnnl_batch_normalization_backward_primitive_desc_create) \
  X(dnnl_lstm_forward_primitive_desc_create)                 \
  X(dnnl_lstm_backward_primitive_desc_create)                \
  X(dnnl_matmul_primitive_desc_create)

/// Its functions by their own names. oneDNN is loaded when it is asked for, not linked: without it the rest of the
/// program runs, and OpenMP, which comes with it, is told first how long to spin.
struct Library {
#define FOVEA_ONEDNN_MEMBER(name) decltype(&::name) name = nullptr;
  FOVEA_ONEDNN_FUNCTIONS(FOVEA_ONEDNN_MEMBER)
#undef FOVEA_ONEDNN_MEMBER
  void (*omp_set_num_threads)(int) = nullptr;
};

/// oneDNN refused a call, or is not there. what() holds the call and the status.
struct OnednnError : std::runtime_error {
  using std::runtime_error::runtime_error;
};

/// Where it is looked for: where it was when the build was configured, then the loader's own places.
std::vector<std::string> library_paths();
/// Loads the first of `paths` that can be loaded; a library stays until the program ends.
/// throws OnednnError with the loader's words for each path, or if a function is missing
Library load(const std::vector<std::string>& paths);
/// load(library_paths()), once. throws OnednnError, each time again
const Library& library();
/// "3.2.0"
std::string version();

/// throws OnednnError unless status is success
void check(dnnl_status_t status, const char* call);

}  // namespace fovea::bench::onednn
