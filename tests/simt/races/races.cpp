// SPDX-License-Identifier: Apache-2.0
/// Compiled with -fsanitize=thread and linked without it: each load and store below is noted
/// (race_hooks.cpp).
#include <vector>

#include "kernels/cuda/access.cuh"
#include "kernels/cuda/block.cuh"
#include "tests/simt/orders.h"
#include "tests/simt/planted_bugs.cuh"

namespace fovea {
namespace {

TEST_CASE("a missing barrier is a race on a named shared variable") {
  in_all_orders([](simt::Grid& grid) {
    std::vector<float> out(256);
    const std::string first = fault_of(
        [&] { launch(grid, "two_sums", planted::two_sums_kernel<false, true>, 1, 256, 0, out.data()); });
    const std::string second = fault_of(
        [&] { launch(grid, "two_sums", planted::two_sums_kernel<true, false>, 1, 256, 0, out.data()); });
    CHECK(contains(second, "two_sums: race in block (0, 0, 0): thread ("));
    CHECK(contains(second, "of shared variable scratch, which thread ("));
    CHECK(contains(second, "and no barrier orders the two"));
    CHECK(contains(second, "planted_bugs.cuh:"));
    // Without the first barrier, a warp may also come to read what nobody has written yet.
    CHECK(
        (contains(first, "two_sums: race in block") || contains(first, "two_sums: unwritten read in block")));
    CHECK(fault_of([&] {
            launch(grid, "two_sums", planted::two_sums_kernel<true, true>, 1, 256, 0, out.data());
          }).empty());
  });
}

__global__ void same_value_kernel(int* flag) { *flag = 1; }

/// The result is right in all three orders; a GPU may still do what it likes.
TEST_CASE("a race is seen even when every order gives the same result") {
  in_all_orders([](simt::Grid& grid) {
    std::vector<int> flag(1);
    CHECK(contains(fault_of([&] { launch(grid, "same_value", same_value_kernel, 1, 2, 0, flag.data()); }),
                   "same_value: race in block (0, 0, 0): thread ("));
    const std::string text =
        fault_of([&] { launch(grid, "same_value", same_value_kernel, 2, 1, 0, flag.data()); });
    CHECK(contains(text, "writes global memory at "));
    CHECK(contains(text, "which thread (0, 0, 0) of block ("));
    CHECK(contains(text, "has written"));
    launch(grid, "same_value", same_value_kernel, 1, 1, 0, flag.data());
    launch(grid, "same_value", same_value_kernel, 1, 1, 0, flag.data());  // launches are ordered
    CHECK(flag[0] == 1);
  });
}

template <bool kSync>
__global__ void neighbours_kernel(float* out) {
  FOVEA_SHARED(float, tile, [32]);
  tile[threadIdx.x] = 1.0f;
  if (kSync)
    __syncwarp();
  else
    (void)__any_sync(0xffffffffu, 1);
  out[threadIdx.x] = tile[(threadIdx.x + 1) % 32];
  if (kSync) __syncwarp();
  tile[threadIdx.x] = 2.0f;
}

TEST_CASE("__syncwarp orders the lanes of a warp, a vote does not") {
  in_all_orders([](simt::Grid& grid) {
    std::vector<float> out(32);
    CHECK(fault_of([&] { launch(grid, "ordered", neighbours_kernel<true>, 1, 32, 0, out.data()); }).empty());
    CHECK(
        contains(fault_of([&] { launch(grid, "unordered", neighbours_kernel<false>, 1, 32, 0, out.data()); }),
                 "unordered: race in block (0, 0, 0): thread ("));
  });
}

__global__ void read_then_write_kernel(float* x) {
  const float v = x[(threadIdx.x + 1) % blockDim.x];
  x[threadIdx.x] = v;
}

TEST_CASE("a write after another thread's read is a race, too") {
  simt::Grid grid;
  std::vector<float> x(64);
  CHECK(
      contains(fault_of([&] { launch(grid, "read_then_write", read_then_write_kernel, 1, 64, 0, x.data()); }),
               "and no barrier orders the two"));
}

TEST_CASE("reads of unwritten shared memory are reported, static and dynamic") {
  in_all_orders([](simt::Grid& grid) {
    std::vector<float> out(32);
    std::vector<int> flags(32);
    const std::string text =
        fault_of([&] { launch(grid, "unwritten", planted::unwritten_kernel, 1, 32, 0, 7, out.data()); });
    CHECK(contains(text, "unwritten: unwritten read in block (0, 0, 0): thread ("));
    CHECK(contains(text, "reads byte 24 of shared variable tile, which no thread has written"));
    CHECK(contains(
        fault_of([&] { launch(grid, "flag", planted::unwritten_flag_kernel, 1, 32, 0, 7, flags.data()); }),
        "byte 24 of shared variable seen"));
  });
}

__global__ void dynamic_reader_kernel(float* out) {
  FOVEA_DYNAMIC_SHARED(float, row);
  row[0] = 1.0f;
  out[0] = row[0];
  out[1] = row[3];
}

TEST_CASE("dynamic shared memory is followed as well") {
  simt::Grid grid;
  std::vector<float> out(2);
  CHECK(contains(fault_of([&] { launch(grid, "dynamic", dynamic_reader_kernel, 1, 1, 16, out.data()); }),
                 "reads byte 12 of dynamic shared memory, which no thread has written"));
}

__global__ void clean_kernel(std::int64_t n, const float* x, float* y, unsigned char* bytes, int* counter) {
  FOVEA_SHARED(float, scratch, [32]);
  FOVEA_SHARED(gpu::Moments, moments, [32]);
  float sum = 0.0f;
  gpu::Moments m{0, 0, 0};
  for (const std::int64_t i : gpu::block_stride(n)) {
    sum += x[i];
    m.include(x[i]);
  }
  for (int k = 0; k < 3; ++k) sum = gpu::block_reduce(sum, gpu::Add{}, scratch) / static_cast<float>(n);
  m = gpu::block_reduce(m, gpu::Merge{}, moments);
  bytes[blockIdx.x * blockDim.x + threadIdx.x] = 1;  // neighbours in one word
  atomicAdd(counter, 1);
  if (threadIdx.x == 0) y[blockIdx.x] = sum + m.mean;
}

TEST_CASE("correct kernels are left in peace") {
  in_all_orders([](simt::Grid& grid) {
    for (const unsigned threads : {1u, 31u, 64u, 100u}) {
      CAPTURE(threads);
      const std::vector<float> x(333, 1.0f);
      std::vector<float> y(3);
      std::vector<unsigned char> bytes(3 * threads);
      int counter = 0;
      for (int again = 0; again < 2; ++again)
        CHECK(fault_of([&] {
                launch(grid, "clean", clean_kernel, 3, threads, 0, 333, x.data(), y.data(), bytes.data(),
                       &counter);
              }) == "");
      CHECK(counter == static_cast<int>(6 * threads));
      CHECK(y[2] > 1.0f);
    }
  });
}

}  // namespace
}  // namespace fovea
