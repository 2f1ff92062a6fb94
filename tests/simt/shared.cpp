// SPDX-License-Identifier: Apache-2.0
#include <cmath>
#include <cstdint>
#include <vector>

#include "kernels/simt/simt.h"
#include "tests/simt/orders.h"

namespace fovea {
namespace {

template <int kTile>
__global__ void transpose_kernel(int rows, int cols, const float* __restrict__ in, float* __restrict__ out) {
  FOVEA_SHARED(float, tile, [kTile][kTile + 1]);
  static_assert(sizeof(tile) == sizeof(float) * kTile * (kTile + 1));
  const int x = static_cast<int>(threadIdx.x), y = static_cast<int>(threadIdx.y);
  int c = static_cast<int>(blockIdx.x) * kTile + x, r = static_cast<int>(blockIdx.y) * kTile + y;
  if (r < rows && c < cols) tile[y][x] = in[r * cols + c];
  __syncthreads();
  c = static_cast<int>(blockIdx.y) * kTile + x;
  r = static_cast<int>(blockIdx.x) * kTile + y;
  if (r < cols && c < rows) out[r * rows + c] = tile[x][y];
}

TEST_CASE("a tile in shared memory transposes a matrix") {
  in_all_orders([](simt::Grid& grid) {
    const int rows = 21, cols = 35;
    std::vector<float> in(rows * cols), out(in.size(), -1.0f);
    for (std::size_t i = 0; i < in.size(); ++i) in[i] = static_cast<float>(i);
    launch(grid, "transpose", transpose_kernel<8>, dim3(5, 3), dim3(8, 8), 0, rows, cols, in.data(),
           out.data());
    int wrong = 0;
    for (int r = 0; r < rows; ++r)
      for (int c = 0; c < cols; ++c)
        wrong += out[static_cast<std::size_t>(c * rows + r)] == static_cast<float>(r * cols + c) ? 0 : 1;
    CHECK(wrong == 0);
  });
}

template <int kSlot>
__device__ void remember(int value) {
  FOVEA_SHARED(int, last);
  if (threadIdx.x == 0) last = value;
  __syncthreads();
}
template <int kSlot>
__device__ int recall() {
  FOVEA_SHARED(int, first, [3]);
  FOVEA_SHARED(int, second, [3]);
  if (threadIdx.x < 3) {
    first[threadIdx.x] = kSlot;
    second[threadIdx.x] = 10 * kSlot;
  }
  __syncthreads();
  return first[threadIdx.x % 3] + second[(threadIdx.x + 1) % 3];
}

__global__ void instances_kernel(int* out) {
  remember<1>(1);
  const int a = recall<1>();
  const int b = recall<2>();
  out[threadIdx.x] = 1000 * a + b;
}

TEST_CASE("each declaration, in each instantiation, is memory of its own") {
  in_all_orders([](simt::Grid& grid) {
    std::vector<int> out(40);
    launch(grid, "instances", instances_kernel, 1, 40, 0, out.data());
    for (const int v : out) CHECK(v == 11022);
  });
}

__global__ void dynamic_kernel(int n, const float* __restrict__ x, float* __restrict__ y) {
  FOVEA_DYNAMIC_SHARED(float, row);
  for (int i = static_cast<int>(threadIdx.x); i < n; i += static_cast<int>(blockDim.x)) row[i] = x[i];
  __syncthreads();
  for (int i = static_cast<int>(threadIdx.x); i < n; i += static_cast<int>(blockDim.x)) y[i] = row[n - 1 - i];
  if (threadIdx.x == 0) y[n] = static_cast<float>(reinterpret_cast<std::uintptr_t>(row) % 128);
}

TEST_CASE("dynamic shared memory has the launch's size and 128-byte alignment") {
  in_all_orders([](simt::Grid& grid) {
    for (const int n : {3, 1000, 227 * 1024 / 4}) {
      CAPTURE(n);
      std::vector<float> x(static_cast<std::size_t>(n)), y(static_cast<std::size_t>(n) + 1, -1.0f);
      for (std::size_t i = 0; i < x.size(); ++i) x[i] = static_cast<float>(i);
      launch(grid, "dynamic", dynamic_kernel, 1, 96, x.size() * sizeof(float), n, x.data(), y.data());
      int wrong = 0;
      for (std::size_t i = 0; i < x.size(); ++i) wrong += y[i] == x[x.size() - 1 - i] ? 0 : 1;
      CHECK(wrong == 0);
      CHECK(y.back() == 0);
    }
  });
}

__global__ void leftover_kernel(float* out) {
  FOVEA_SHARED(float, left, [4]);
  FOVEA_DYNAMIC_SHARED(float, right);
  out[2 * blockIdx.x] = left[2];
  out[2 * blockIdx.x + 1] = right[1];
  left[2] = 5.0f;
  right[1] = 5.0f;
}

TEST_CASE("each block finds its shared memory filled, never the last block's values") {
  in_all_orders([](simt::Grid& grid) {
    std::vector<float> out(6, 0.0f);
    launch(grid, "leftover", leftover_kernel, 3, 1, 16, out.data());
    for (const float v : out) CHECK(std::isnan(v));
    grid.set_shared_fill(0x00);
    launch(grid, "leftover", leftover_kernel, 3, 1, 16, out.data());
    for (const float v : out) CHECK(v == 0.0f);
  });
}

template <int kBytes>
__global__ void greedy_kernel() {
  FOVEA_SHARED(char, heap, [kBytes]);
  heap[0] = 1;
}

TEST_CASE("shared memory is limited as on a GPU") {
  simt::Grid grid;
  launch(grid, "greedy", greedy_kernel<48 * 1024>, 1, 1, 179 * 1024);
  CHECK(contains(fault_of([&] { launch(grid, "greedy", greedy_kernel<48 * 1024 + 1>, 1, 1, 0); }),
                 "greedy: block (0, 0, 0), thread (0, 0, 0) declares 49153 bytes of static shared memory"));
  CHECK(contains(fault_of([&] { launch(grid, "greedy", greedy_kernel<48 * 1024>, 1, 1, 179 * 1024 + 1); }),
                 "has 232449 bytes of static and dynamic shared memory; a block has 232448"));
  CHECK(contains(fault_of([&] { launch(grid, "greedy", greedy_kernel<1>, 1, 1, 227 * 1024 + 1); }),
                 "greedy: 232449 bytes of dynamic shared memory; a block has 232448"));
}

}  // namespace
}  // namespace fovea
