// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstddef>
#include <cstdint>
#include <memory>
#include <string>

#include "kernels/captured.h"
#include "kernels/math.h"

// The runtime's own declaration; host code can use streams without the CUDA headers.
struct CUstream_st;

namespace fovea {
class Arena;
}

namespace fovea::cuda {

/// GPUs that this process can use; 0 without a GPU or driver. Never throws for their absence.
int device_count();
/// Why there are none, in the runtime's words; empty if there is one.
std::string missing_reason();
/// "NVIDIA H100 80GB HBM3". throws CudaError
std::string device_name(int device);
/// Whether it has the instructions of kernels/cuda/mma.cuh (sm_80 or newer). throws CudaError
bool has_tensor_cores(int device);
/// "driver for CUDA 13.1, runtime 13.0". throws CudaError
std::string versions();

/// The queue of one GPU: kernels and copies on it run one after another, and beside other streams.
/// The arena of a stream serves this stream only: see Arena on why a freed block may be reused at once.
class Stream {
 public:
  /// device  0 ≤ device < device_count()
  /// math    other than fp32 only where has_tensor_cores(device)
  /// throws  CudaError
  explicit Stream(int device = 0, Math math = Math::fp32);
  /// Waits for the work in flight, so that memory is not returned under a running kernel.
  ~Stream();
  Stream(Stream&& other) noexcept;
  Stream& operator=(Stream&& other) noexcept;

  CUstream_st* get() const noexcept { return raw_; }
  int device() const noexcept { return device_; }
  Math math() const noexcept { return math_; }
  Arena& arena() { return *arena_; }
  /// Where matmul_cublas.cpp keeps the handle that it makes for this stream; empty until then.
  std::shared_ptr<void>& blas() { return blas_; }

  /// Makes this stream's GPU the calling thread's current one, as launches and allocations require.
  void make_current() const;
  /// Waits for all work issued so far. Errors of earlier kernels appear here.
  void synchronize() const;
  /// From now on the work issued here becomes a CUDA graph instead of being run, until end_capture(); nothing may
  /// wait then. throws CudaError
  void begin_capture();
  /// throws CudaError, with the capture over and its work lost
  Captured end_capture();
  /// Forgets what was captured, after a failure.
  void abandon_capture() noexcept;
  bool capturing() const;
  /// Runs the graph after the work issued so far; does not wait.
  void replay(const Captured& captured);

  /// Copies after the work issued so far. `from` may be reused on return unless it is pinned.
  void copy_from_host(void* device_to, const void* host_from, std::size_t bytes);
  /// Copies after the work issued so far and waits for it.
  void copy_to_host(void* host_to, const void* device_from, std::size_t bytes);
  /// Copies within the device; does not wait.
  void copy(void* device_to, const void* device_from, std::size_t bytes);
  /// Bytes of the GPU that nobody has taken. throws CudaError
  std::size_t free_memory() const;
  void fill_zero(void* device_to, std::size_t bytes);

 private:
  void close() noexcept;

  CUstream_st* raw_ = nullptr;
  int device_ = 0;
  Math math_ = Math::fp32;
  std::unique_ptr<Arena> arena_;
  std::shared_ptr<void> blas_;
};

}  // namespace fovea::cuda
