// SPDX-License-Identifier: Apache-2.0
#include "kernels/cuda/stream.h"

#include <array>
#include <utility>

#include "kernels/arena.h"
#include "kernels/cuda/check.h"

namespace fovea::cuda {
namespace {

constexpr int kMaxDevices = 16;

// The functions of a MemorySource carry no state, so there is one pair per device.
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

MemorySource device_memory(int device) {
  static constexpr auto allocates = []<int... kDevice>(std::integer_sequence<int, kDevice...>) {
    return std::array{&allocate_on<kDevice>...};
  }
  (std::make_integer_sequence<int, kMaxDevices>());
  static constexpr auto releases = []<int... kDevice>(std::integer_sequence<int, kDevice...>) {
    return std::array{&release_on<kDevice>...};
  }
  (std::make_integer_sequence<int, kMaxDevices>());
  const auto index = static_cast<std::size_t>(device);
  return {.name = "cuda:" + std::to_string(device),
          .alignment = 256,
          .allocate = allocates.at(index),
          .release = releases.at(index)};
}

}  // namespace

int device_count() {
  int count = 0;
  if (cudaGetDeviceCount(&count) == cudaSuccess) return count;
  (void)cudaGetLastError();
  return 0;
}

std::string missing_reason() {
  int count = 0;
  const cudaError_t error = cudaGetDeviceCount(&count);
  if (error == cudaSuccess) return count > 0 ? "" : "no NVIDIA GPU is visible to this process";
  (void)cudaGetLastError();
  return CudaError("cudaGetDeviceCount", error).what();
}

std::string device_name(int device) {
  cudaDeviceProp properties{};
  CHECK_CUDA(cudaGetDeviceProperties(&properties, device));
  return properties.name;
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
  const auto text = [](int version) {  // 13010 is 13.1
    return std::to_string(version / 1000) + "." + std::to_string(version % 1000 / 10);
  };
  return "driver for CUDA " + text(driver) + ", runtime " + text(runtime);
}

Stream::Stream(int device, Math math) : device_(device), math_(math) {
  make_current();
  arena_ = std::make_unique<Arena>(device_memory(device));
  // Non-blocking: no hidden waiting for the default stream, which this project never uses.
  CHECK_CUDA(cudaStreamCreateWithFlags(&raw_, cudaStreamNonBlocking));
}

Stream::~Stream() { close(); }

Stream::Stream(Stream&& other) noexcept
    : raw_(std::exchange(other.raw_, nullptr)),
      device_(other.device_),
      math_(other.math_),
      arena_(std::move(other.arena_)),
      blas_(std::move(other.blas_)) {}

Stream& Stream::operator=(Stream&& other) noexcept {
  if (this == &other) return *this;
  close();
  raw_ = std::exchange(other.raw_, nullptr);
  device_ = other.device_;
  math_ = other.math_;
  arena_ = std::move(other.arena_);
  blas_ = std::move(other.blas_);
  return *this;
}

void Stream::close() noexcept {
  if (raw_ == nullptr) return;
  (void)cudaStreamSynchronize(raw_);
  blas_.reset();  // its workspace lies in the arena
  arena_.reset();
  (void)cudaStreamDestroy(std::exchange(raw_, nullptr));
}

void Stream::make_current() const { CHECK_CUDA(cudaSetDevice(device_)); }

void Stream::synchronize() const { CHECK_CUDA(cudaStreamSynchronize(raw_)); }

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
  CHECK_CUDA(cudaGraphLaunch(program, raw_));
}

bool Stream::capturing() const {
  cudaStreamCaptureStatus status = cudaStreamCaptureStatusNone;
  CHECK_CUDA(cudaStreamIsCapturing(raw_, &status));
  return status != cudaStreamCaptureStatusNone;
}

void Stream::copy_from_host(void* device_to, const void* host_from, std::size_t bytes) {
  CHECK_CUDA(cudaMemcpyAsync(device_to, host_from, bytes, cudaMemcpyHostToDevice, raw_));
}

void Stream::copy_to_host(void* host_to, const void* device_from, std::size_t bytes) {
  CHECK_CUDA(cudaMemcpyAsync(host_to, device_from, bytes, cudaMemcpyDeviceToHost, raw_));
  synchronize();
}

void Stream::copy(void* device_to, const void* device_from, std::size_t bytes) {
  CHECK_CUDA(cudaMemcpyAsync(device_to, device_from, bytes, cudaMemcpyDeviceToDevice, raw_));
}

std::size_t Stream::free_memory() const {
  make_current();
  std::size_t free = 0, total = 0;
  CHECK_CUDA(cudaMemGetInfo(&free, &total));
  return free;
}

void Stream::fill_zero(void* device_to, std::size_t bytes) {
  CHECK_CUDA(cudaMemsetAsync(device_to, 0, bytes, raw_));
}

}  // namespace fovea::cuda
