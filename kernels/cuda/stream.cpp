// SPDX-License-Identifier: Apache-2.0
#include "kernels/cuda/stream.h"

#include <fmt/format.h>

#include <array>
#include <utility>

#include "kernels/arena.h"
#include "kernels/cuda/check.h"
#include "kernels/cuda/event.h"
#include "kernels/device_code.h"

namespace fovea::cuda {
namespace {

constexpr int kMaxDevices = 16;

// The functions of a MemorySource carry no state, so there is one of each per device.
template <int kDevice>
void* allocate_on(std::size_t bytes) {
  void* memory = nullptr;
  if (cudaSetDevice(kDevice) != cudaSuccess || cudaMalloc(&memory, bytes) != cudaSuccess) {
    (void)cudaGetLastError();  // the arena reports it; the next launch must not
    return nullptr;
  }
  return memory;
}
template <int kDevice>
void release_on(void* memory, std::size_t) {
  if (cudaSetDevice(kDevice) == cudaSuccess) (void)cudaFree(memory);
}

template <int kDevice>
void* pin_for(std::size_t bytes) {
  void* memory = nullptr;
  // The device's own context, and not that of the GPU which happens to be the thread's.
  if (cudaSetDevice(kDevice) != cudaSuccess ||
      cudaHostAlloc(&memory, bytes, cudaHostAllocPortable) != cudaSuccess) {
    (void)cudaGetLastError();
    return nullptr;
  }
  return memory;
}
void unpin(void* memory, std::size_t) { (void)cudaFreeHost(memory); }

template <int... kDevice>
MemorySource device_memory(int device, std::integer_sequence<int, kDevice...>) {
  static constexpr std::array allocates{&allocate_on<kDevice>...};
  static constexpr std::array releases{&release_on<kDevice>...};
  const auto index = static_cast<std::size_t>(device);
  return {.name = "cuda:" + std::to_string(device),
          .alignment = 256,
          .allocate = allocates.at(index),
          .release = releases.at(index)};
}

template <int... kDevice>
MemorySource pinned_memory(int device, std::integer_sequence<int, kDevice...>) {
  static constexpr std::array allocates{&pin_for<kDevice>...};
  return {.name = "pinned memory for cuda:" + std::to_string(device),
          .alignment = 256,
          .allocate = allocates.at(static_cast<std::size_t>(device)),
          .release = &unpin};
}

/// "13.1" for 13010.
std::string version_text(int version) {
  return std::to_string(version / 1000) + "." + std::to_string(version % 1000 / 10);
}

}  // namespace

MemorySource pinned_memory(int device) {
  return pinned_memory(device, std::make_integer_sequence<int, kMaxDevices>());
}

int device_count() {
  int count = 0;
  if (cudaGetDeviceCount(&count) == cudaSuccess) return count;
  (void)cudaGetLastError();
  return 0;
}

std::string missing_reason() {
  int count = 0;
  const cudaError_t error = cudaGetDeviceCount(&count);
  if (error == cudaSuccess && count > 0) return missing_code(0);
  (void)cudaGetLastError();
  int driver = 0, runtime = 0;  // without a driver its version is 0, and the error the one of an old driver
  if (cudaDriverGetVersion(&driver) != cudaSuccess || driver == 0) return "no NVIDIA GPU or driver";
  if (error == cudaErrorInsufficientDriver && cudaRuntimeGetVersion(&runtime) == cudaSuccess)
    return "the NVIDIA driver serves CUDA " + version_text(driver) + ", this build needs " +
           version_text(runtime) + ": update the driver";
  if (error == cudaSuccess || error == cudaErrorNoDevice)
    return "no NVIDIA GPU is visible to this process (driver for CUDA " + version_text(driver) + ")";
  return CudaError("cudaGetDeviceCount", error, " (" + versions() + ")").what();
}

std::string missing_code(int device) {
  int major = 0, minor = 0;
  CHECK_CUDA(cudaDeviceGetAttribute(&major, cudaDevAttrComputeCapabilityMajor, device));
  CHECK_CUDA(cudaDeviceGetAttribute(&minor, cudaDevAttrComputeCapabilityMinor, device));
  return why_no_code(compiled_architectures(), major, minor);
}

std::string device_name(int device) {
  cudaDeviceProp properties{};
  CHECK_CUDA(cudaGetDeviceProperties(&properties, device));
  return properties.name;
}

std::string device_facts(int device) {
  cudaDeviceProp properties{};
  CHECK_CUDA(cudaGetDeviceProperties(&properties, device));
  return fmt::format("compute capability {}.{}, {:.1f} GiB", properties.major, properties.minor,
                     static_cast<double>(properties.totalGlobalMem) / (1 << 30));
}

bool has_tensor_cores(int device) {
  int major = 0;
  CHECK_CUDA(cudaDeviceGetAttribute(&major, cudaDevAttrComputeCapabilityMajor, device));
  return major >= 8;
}

std::string versions() {
  int driver = 0, runtime = 0;
  CHECK_CUDA(cudaDriverGetVersion(&driver));
  CHECK_CUDA(cudaRuntimeGetVersion(&runtime));
  return "driver for CUDA " + version_text(driver) + ", runtime " + version_text(runtime);
}

Stream::Stream(int device, Math math) : device_(device), math_(math) {
  make_current();
  arena_ = std::make_unique<Arena>(device_memory(device, std::make_integer_sequence<int, kMaxDevices>()));
  // Non-blocking: no hidden waiting for the default stream, which this project never uses.
  CHECK_CUDA(cudaStreamCreateWithFlags(&raw_, cudaStreamNonBlocking));
}

Stream::~Stream() { close(); }

Stream::Stream(Stream&& other) noexcept
    : raw_(std::exchange(other.raw_, nullptr)),
      device_(other.device_),
      math_(other.math_),
      arena_(std::move(other.arena_)),
      blas_(std::move(other.blas_)),
      recent_(other.recent_) {}

Stream& Stream::operator=(Stream&& other) noexcept {
  if (this == &other) return *this;
  close();
  raw_ = std::exchange(other.raw_, nullptr);
  device_ = other.device_;
  math_ = other.math_;
  arena_ = std::move(other.arena_);
  blas_ = std::move(other.blas_);
  recent_ = other.recent_;
  return *this;
}

void Stream::close() noexcept {
  if (raw_ == nullptr) return;
  (void)cudaStreamSynchronize(raw_);
  blas_.reset();  // its workspace lies in the arena
  arena_.reset();
  (void)cudaStreamDestroy(std::exchange(raw_, nullptr));
}

void Stream::make_current() const { check(cudaSetDevice(device_), "cudaSetDevice"); }

void Stream::synchronize() const {
  check(cudaStreamSynchronize(raw_), "cudaStreamSynchronize");
  recent_.clear();
}

void Stream::check(int result, const char* call) const {
  const auto error = static_cast<cudaError_t>(result);
  if (error == cudaSuccess) return;
  std::string more;
  if (is_kernel_fault(error) && !recent_.empty())
    more = "; the last kernels launched, newest first: " + recent_.str() +
           "; with CUDA_LAUNCH_BLOCKING=1 in the environment the first one named is at fault";
  throw CudaError(call, error, more);
}

void Stream::begin_capture() {
  make_current();
  // Relaxed: our arena may call cudaMalloc on the way, and other threads may go on with work of theirs.
  CHECK_CUDA(cudaStreamBeginCapture(raw_, cudaStreamCaptureModeRelaxed));
}

Captured Stream::end_capture() {
  cudaGraph_t graph = nullptr;
  CHECK_CUDA(cudaStreamEndCapture(raw_, &graph));
  const std::unique_ptr<CUgraph_st, decltype(&cudaGraphDestroy)> owner(graph, &cudaGraphDestroy);
  std::size_t nodes = 0;
  CHECK_CUDA(cudaGraphGetNodes(graph, nullptr, &nodes));
  cudaGraphExec_t program = nullptr;
  CHECK_CUDA(cudaGraphInstantiate(&program, graph, 0));
  std::shared_ptr<CUgraphExec_st> work(program, &cudaGraphExecDestroy);
  CHECK_CUDA(cudaGraphUpload(program, raw_));  // else the first replay pays for it
  return {std::move(work), static_cast<std::int64_t>(nodes)};
}

void Stream::abandon_capture() noexcept {
  cudaGraph_t graph = nullptr;
  if (cudaStreamEndCapture(raw_, &graph) == cudaSuccess && graph != nullptr) (void)cudaGraphDestroy(graph);
  (void)cudaGetLastError();
}

void Stream::replay(const Captured& captured) {
  auto* const program = static_cast<CUgraphExec_st*>(const_cast<void*>(captured.work.get()));
  launched("graph");
  check(cudaGraphLaunch(program, raw_), "graph");
}

void Stream::wait(const Event& event) { CHECK_CUDA(cudaStreamWaitEvent(raw_, event.get(), 0)); }

bool Stream::capturing() const {
  cudaStreamCaptureStatus status = cudaStreamCaptureStatusNone;
  check(cudaStreamIsCapturing(raw_, &status), "cudaStreamIsCapturing");
  return status != cudaStreamCaptureStatusNone;
}

void Stream::copy_from_host(void* device_to, const void* host_from, std::size_t bytes) {
  check(cudaMemcpyAsync(device_to, host_from, bytes, cudaMemcpyHostToDevice, raw_), "copy to the GPU");
}

void Stream::copy_to_host(void* host_to, const void* device_from, std::size_t bytes) {
  check(cudaMemcpyAsync(host_to, device_from, bytes, cudaMemcpyDeviceToHost, raw_), "copy from the GPU");
  synchronize();
}

void Stream::copy(void* device_to, const void* device_from, std::size_t bytes) {
  check(cudaMemcpyAsync(device_to, device_from, bytes, cudaMemcpyDeviceToDevice, raw_), "copy on the GPU");
}

std::size_t Stream::free_memory() const {
  make_current();
  std::size_t free = 0, total = 0;
  check(cudaMemGetInfo(&free, &total), "cudaMemGetInfo");
  return free;
}

void Stream::fill_zero(void* device_to, std::size_t bytes) {
  check(cudaMemsetAsync(device_to, 0, bytes, raw_), "cudaMemsetAsync");
}

}  // namespace fovea::cuda
