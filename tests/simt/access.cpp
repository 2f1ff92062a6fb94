// SPDX-License-Identifier: Apache-2.0
#include "kernels/cuda/access.cuh"

#include <cstdint>
#include <vector>

#include "tests/simt/orders.h"

namespace fovea {
namespace {

__global__ void count_visits_kernel(std::int64_t n, int* visits) {
  for (const std::int64_t i : gpu::grid_stride(n)) ++visits[i];
}

TEST_CASE("a grid stride visits each index once, whatever the grid") {
  in_all_orders([](simt::Grid& grid) {
    for (const int n : {0, 1, 31, 64, 1000})
      for (const unsigned blocks : {1u, 2u, 7u})
        for (const unsigned threads : {1u, 33u, 128u}) {
          CAPTURE(n);
          CAPTURE(blocks);
          CAPTURE(threads);
          std::vector<int> visits(static_cast<std::size_t>(n) + 1, 0);
          launch(grid, "count_visits", count_visits_kernel, blocks, threads, 0, n, visits.data());
          int wrong = visits.back();
          for (int i = 0; i < n; ++i) wrong += visits[static_cast<std::size_t>(i)] == 1 ? 0 : 1;
          CHECK(wrong == 0);
        }
  });
}

__global__ void record_kernel(std::int64_t n, std::int64_t* last) {
  for (const std::int64_t i : gpu::grid_stride(n)) *last = i;
}

TEST_CASE("a grid stride counts beyond 32 bits") {
  simt::Grid grid;
  std::int64_t last = 0;
  // 1024 threads in each of 2^22 blocks would start 2^32 threads; so many steps are only affordable when each
  // thread takes few, hence the check of the arithmetic itself.
  const gpu::GridStride::Iterator it{.i = 3'000'000'000, .step = 2'000'000'000};
  gpu::GridStride::Iterator next = it;
  CHECK(*++next == 5'000'000'000);
  CHECK(next != gpu::GridStride::End{5'000'000'001});
  CHECK_FALSE(next != gpu::GridStride::End{5'000'000'000});
  launch(grid, "record", record_kernel, 1, 1, 0, 5, &last);
  CHECK(last == 4);
}

TEST_CASE("blocks_for covers the elements, within its limit") {
  CHECK(gpu::blocks_for(0, 256) == 1);
  CHECK(gpu::blocks_for(1, 256) == 1);
  CHECK(gpu::blocks_for(256, 256) == 1);
  CHECK(gpu::blocks_for(257, 256) == 2);
  CHECK(gpu::blocks_for(std::int64_t{1} << 40, 256, 1000) == 1000);
}

template <int kPack>
__global__ void halve_kernel(std::int64_t packs, const float* __restrict__ x, float* __restrict__ y) {
  for (const std::int64_t i : gpu::grid_stride(packs)) {
    gpu::Pack<float, kPack> v = gpu::load_pack<kPack>(x, i);
    for (float& lane : v.lane) lane *= 0.5f;
    gpu::store_pack(y, i, v);
  }
}

TEST_CASE("packs move 16 bytes where addresses and count allow, else the same kernel moves one") {
  in_all_orders([](simt::Grid& grid) {
    alignas(16) float x[67], y[67];
    for (int i = 0; i < 67; ++i) x[i] = static_cast<float>(i);
    CHECK(gpu::can_pack<4>(64, x, y));
    CHECK_FALSE(gpu::can_pack<4>(66, x, y));
    CHECK_FALSE(gpu::can_pack<4>(64, x + 1, y));
    CHECK_FALSE(gpu::can_pack<4>(64, x, y + 2));
    CHECK(gpu::can_pack<2>(64, x, y + 2));
    launch(grid, "halve", halve_kernel<4>, 2, 4, 0, 16, x, y);
    for (int i = 0; i < 64; ++i) CHECK(y[i] == 0.5f * static_cast<float>(i));
    launch(grid, "halve", halve_kernel<1>, 2, 4, 0, 63, x + 1, y + 1);
    for (int i = 0; i < 63; ++i) CHECK(y[i + 1] == 0.5f * static_cast<float>(i + 1));
  });
}

__global__ void rows_kernel(const float4* __restrict__ x, float4* __restrict__ y) {
  const float4 v = __ldg(&x[threadIdx.x]);
  y[threadIdx.x] = make_float4(v.w, v.z, v.y, v.x);
}

TEST_CASE("vector types have CUDA's sizes and alignments") {
  static_assert(sizeof(float3) == 12 && alignof(float3) == 4 && sizeof(float4) == 16 &&
                alignof(float4) == 16);
  static_assert(alignof(float2) == 8 && alignof(int4) == 16 && alignof(uchar4) == 4 &&
                alignof(double2) == 16);
  static_assert(sizeof(double4) == 32 && alignof(double4) == 16 && sizeof(gpu::Pack<float, 4>) == 16);
  static_assert(gpu::kPackWidth<float> == 4 && gpu::kPackWidth<double> == 2 &&
                gpu::kPackWidth<std::uint16_t> == 8);
  simt::Grid grid;
  const std::vector<float4> x{{0, 1, 2, 3}, {4, 5, 6, 7}};
  std::vector<float4> y(2);
  launch(grid, "rows", rows_kernel, 1, 2, 0, x.data(), y.data());
  CHECK(y[0].x == 3);
  CHECK(y[1].w == 4);
}

}  // namespace
}  // namespace fovea
