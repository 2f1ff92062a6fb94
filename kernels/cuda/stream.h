// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstddef>
#include <cstdint>
#include <memory>
#include <string>

#include "kernels/captured.h"
#include "kernels/math.h"
#include "kernels/recent_launches.h"

// The runtime's own declaration; host code can use streams without the CUDA headers.
struct CUstream_st;

namespace fovea {
class Arena;
struct MemorySource;
}  // namespace fovea

namespace fovea::cuda {

class Event;

/// GPUs that this process can use; 0 without a GPU or driver. Never throws for their absence.
int device_count();
/// Why GPU 0 cannot be used: no driver, too old a one, no GPU, no code for it. Empty if it can.
std::string missing_reason();
/// Why this GPU cannot run the kernels of this build: it has no code for it; empty if it has. throws CudaError
std::string missing_code(int device);
/// "NVIDIA H100 80GB HBM3". throws CudaError
std::string device_name(int device);
/// "compute capability 9.0, 79.1 GiB". throws CudaError
std::string device_facts(int device);
/// Whether it has the instructions of kernels/cuda/mma.cuh (sm_80 or newer). throws CudaError
bool has_tensor_cores(int device);
/// "driver for CUDA 13.1, runtime 13.0". throws CudaError
std::string versions();

/// Host memory that never leaves its place, so that copies to this GPU run beside everything else. Costs far more to get
/// than other memory, which an arena makes up for. It must outlive the copies from it: nothing waits for them.
MemorySource pinned_memory(int device);

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
  /// Waits for all work issued so far. Errors of earlier kernels appear here, with the names of the last launches.
  void synchronize() const;
  /// Work issued from now on begins after the event's point, on whichever stream that is. Does not wait.
  void wait(const Event& event);
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
  /// Notes a kernel (a string literal), for the error that a fault will be.
  void launched(const char* name) noexcept { recent_.add(name); }
  /// Throws for what a call returned; if a kernel has faulted, with the names of the last launches.
  /// error  a cudaError_t;  throws CudaError
  void check(int error, const char* call) const;

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
  mutable RecentLaunches recent_;  // since the last wait
};

}  // namespace fovea::cuda
