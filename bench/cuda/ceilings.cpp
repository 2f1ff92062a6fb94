// SPDX-License-Identifier: Apache-2.0
#include "bench/ceilings.h"

#include <algorithm>
#include <cfloat>
#include <cstdint>

#include "bench/cuda/multiply_add.h"
#include "kernels/cuda/check.h"
#include "tensor/tensor.h"

namespace fovea::bench {
namespace {

constexpr std::int64_t kCopyBytes = std::int64_t{1} << 30;

/// Best of several tries, milliseconds.
template <class F>
double best_ms(cuda::Stream& stream, F&& enqueue) {
  cudaEvent_t start = nullptr, end = nullptr;
  CHECK_CUDA(cudaEventCreate(&start));
  CHECK_CUDA(cudaEventCreate(&end));
  float best = FLT_MAX;
  for (int i = 0; i < 10; ++i) {
    CHECK_CUDA(cudaEventRecord(start, stream.get()));
    enqueue();
    CHECK_CUDA(cudaEventRecord(end, stream.get()));
    CHECK_CUDA(cudaEventSynchronize(end));
    float ms = 0;
    CHECK_CUDA(cudaEventElapsedTime(&ms, start, end));
    best = std::min(best, ms);
  }
  CHECK_CUDA(cudaEventDestroy(start));
  CHECK_CUDA(cudaEventDestroy(end));
  return static_cast<double>(best);
}

}  // namespace

Ceilings measure_cuda_ceilings(const Device& device) {
  cuda::Stream& stream = std::get<std::reference_wrapper<cuda::Stream>>(device.queue()).get();
  stream.make_current();
  cudaDeviceProp properties{};
  CHECK_CUDA(cudaGetDeviceProperties(&properties, stream.device()));
  Ceilings found;
  found.cache_bytes = static_cast<double>(properties.l2CacheSize);
  {
    const int blocks = properties.multiProcessorCount * 32;
    const Tensor sums = Tensor::empty({blocks * kChainThreads}, DType::f32, device, "bench");
    const double ms = best_ms(stream, [&] { multiply_add_chains(stream, blocks, sums.data()); });
    found.fp32_gflop_s = 1e-6 * kChainFlops * blocks / ms;
  }
  const Tensor from =
      Tensor::uniform({kCopyBytes / 4}, {1, philox::stream_id("copy"), 0}, -1.0f, 1.0f, device);
  const Tensor to = Tensor::empty(from.shape(), DType::f32, device, "bench");
  const double ms = best_ms(stream, [&] { stream.copy(to.raw(), from.raw(), kCopyBytes); });
  found.copy_gb_s = 2e-6 * static_cast<double>(kCopyBytes) / ms;
  return found;
}

}  // namespace fovea::bench
