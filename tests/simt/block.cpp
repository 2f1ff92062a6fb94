// SPDX-License-Identifier: Apache-2.0
#include "kernels/cuda/block.cuh"

#include <cmath>
#include <cstring>
#include <vector>

#include "kernels/cuda/access.cuh"
#include "tests/simt/orders.h"

namespace fovea {
namespace {

/// Two reductions with one scratch, so that a thread that runs ahead would spoil the first one's result.
__global__ void sum_and_peak_kernel(const float* __restrict__ x, float* __restrict__ out) {
  FOVEA_SHARED(float, scratch, [32]);
  const int rank = gpu::thread_rank();
  const float sum = gpu::block_reduce(x[rank], gpu::Add{}, scratch);
  const float peak = gpu::block_reduce(x[rank], gpu::Max{}, scratch);
  const float least = gpu::block_reduce(x[rank], gpu::Min{}, scratch);
  out[rank] = sum + 1e4f * peak + 1e7f * least;
}

std::vector<float> small_integers(unsigned count) {
  std::vector<float> x(count);
  for (unsigned i = 0; i < count; ++i) x[i] = static_cast<float>((i * 37 + 11) % 64 % 7);
  return x;
}

TEST_CASE("block_reduce gives every thread the result, for 1 to 1024 threads") {
  in_all_orders([](simt::Grid& grid) {
    for (unsigned threads = 1; threads <= 1024; threads += threads < 100 || threads > 1000 ? 1 : 31) {
      CAPTURE(threads);
      const std::vector<float> x = small_integers(threads);
      float sum = 0, peak = x[0], least = x[0];
      for (const float v : x) {
        sum += v;
        peak = std::fmax(peak, v);
        least = std::fmin(least, v);
      }
      std::vector<float> out(threads, -1.0f);
      launch(grid, "sum_and_peak", sum_and_peak_kernel, 1, threads, 0, x.data(), out.data());
      int wrong = 0;
      for (const float v : out) wrong += v == sum + 1e4f * peak + 1e7f * least ? 0 : 1;
      CHECK(wrong == 0);
    }
  });
}

TEST_CASE("block_reduce counts threads in blocks of any shape") {
  in_all_orders([](simt::Grid& grid) {
    const std::vector<float> x(5 * 7 * 3, 1.0f);
    std::vector<float> out(x.size());
    launch(grid, "sum_and_peak", sum_and_peak_kernel, 1, dim3(5, 7, 3), 0, x.data(), out.data());
    for (const float v : out) CHECK(v == 105.0f + 1e4f + 1e7f);
  });
}

template <int kThreads>
__global__ void moments_kernel(std::int64_t n, const float* __restrict__ x, gpu::Moments* __restrict__ out) {
  FOVEA_SHARED(gpu::Moments, scratch, [32]);
  gpu::Moments m{0, 0, 0};
  for (const std::int64_t i : gpu::block_stride(n)) m.include(x[i]);
  out[threadIdx.x] = gpu::block_reduce<kThreads>(m, gpu::Merge{}, scratch);
}

TEST_CASE("moments merge to mean and variance where sums of squares would cancel") {
  in_all_orders([](simt::Grid& grid) {
    const std::int64_t n = 1000;  // some of the 160 threads see 7 values, some 6
    std::vector<float> x(n);
    double mean = 0, m2 = 0;
    for (std::int64_t i = 0; i < n; ++i) {
      x[static_cast<std::size_t>(i)] = 4096.0f + static_cast<float>(i % 10) * 0.125f;
      mean += x[static_cast<std::size_t>(i)] / double{n};
    }
    for (const float v : x) m2 += (v - mean) * (v - mean);
    std::vector<gpu::Moments> out(160);
    launch(grid, "moments", moments_kernel<160>, 1, 160, 0, n, x.data(), out.data());
    CHECK(out[0].count == float{n});
    CHECK(out[0].mean == doctest::Approx(mean).epsilon(1e-7));
    CHECK(out[0].m2 == doctest::Approx(m2).epsilon(1e-3));
    int different = 0;
    for (const gpu::Moments& m : out) different += std::memcmp(&m, &out[0], sizeof m) != 0 ? 1 : 0;
    CHECK(different == 0);
  });
}

__global__ void pair_kernel(gpu::Pair* out) {
  FOVEA_SHARED(gpu::Pair, scratch, [32]);
  const float rank = static_cast<float>(threadIdx.x);
  out[threadIdx.x] = gpu::block_reduce(gpu::Pair{1.0f, rank}, gpu::AddPair{}, scratch);
}

TEST_CASE("two sums in one reduction") {
  in_all_orders([](simt::Grid& grid) {
    std::vector<gpu::Pair> out(70);
    launch(grid, "pair", pair_kernel, 1, 70, 0, out.data());
    for (const gpu::Pair& p : out) {
      CHECK(p.first == 70);
      CHECK(p.second == 69 * 70 / 2);
    }
  });
}

__global__ void double_kernel(double* out) {
  FOVEA_SHARED(double, scratch, [32]);
  out[threadIdx.x] = gpu::block_reduce(1.0 + threadIdx.x * 1e-9, gpu::Add{}, scratch);
}

TEST_CASE("sums of doubles keep their digits") {
  in_all_orders([](simt::Grid& grid) {
    std::vector<double> out(64);
    launch(grid, "double", double_kernel, 1, 64, 0, out.data());
    CHECK(out[63] == doctest::Approx(64 + 63 * 32 * 1e-9).epsilon(1e-15));
  });
}

TEST_CASE("the three orders give the same bits, and a NaN wins") {
  std::vector<float> x(333), first;
  for (std::size_t i = 0; i < x.size(); ++i) x[i] = std::sin(static_cast<float>(i)) * 1e-3f;
  in_all_orders([&](simt::Grid& grid) {
    std::vector<float> out(x.size());
    launch(grid, "sum_and_peak", sum_and_peak_kernel, 1, 333, 0, x.data(), out.data());
    if (first.empty()) first = out;
    CHECK(std::memcmp(out.data(), first.data(), out.size() * sizeof(float)) == 0);
  });
  CHECK(std::isnan(gpu::Max{}(NAN, 1.0f)));
  CHECK(std::isnan(gpu::Max{}(1.0f, NAN)));
  CHECK(std::isnan(gpu::Min{}(NAN, 1.0f)));
  CHECK(std::isnan(gpu::Min{}(1.0f, NAN)));
  CHECK(gpu::Merge{}(gpu::Moments{0, 0, 0}, gpu::Moments{0, 0, 0}).count == 0);
}

}  // namespace
}  // namespace fovea
