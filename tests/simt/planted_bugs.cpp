// SPDX-License-Identifier: Apache-2.0
#include "tests/simt/planted_bugs.cuh"

#include <cmath>
#include <vector>

#include "tests/simt/orders.h"

/// Bugs that every build sees. Those that need a sanitizer are in planted/main.cpp.
namespace fovea {
namespace {

/// How many of 256 threads get a wrong result.
template <bool kFirstBarrier, bool kSecondBarrier>
int wrong_threads(simt::Grid& grid) {
  std::vector<float> out(256);
  launch(grid, "two_sums", planted::two_sums_kernel<kFirstBarrier, kSecondBarrier>, 1, 256, 0, out.data());
  int wrong = 0;
  for (const float v : out) wrong += v == 256.0f + 10000.0f * 512.0f ? 0 : 1;
  return wrong;
}

TEST_CASE("a deleted barrier changes the result in every order") {
  in_all_orders([](simt::Grid& grid) {
    CHECK(wrong_threads<true, true>(grid) == 0);
    CHECK(wrong_threads<false, true>(grid) > 100);
    CHECK(wrong_threads<true, false>(grid) > 100);
  });
}

TEST_CASE("a return before a barrier is reported with kernel, block, threads and line") {
  in_all_orders([](simt::Grid& grid) {
    std::vector<float> out(64);
    const auto run = [&](int n) {
      launch(grid, "early_return", planted::early_return_kernel, 3, 64, 0, n, out.data());
    };
    const std::string text = fault_of([&] { run(40); });
    CHECK(contains(text, "early_return: barrier divergence in block ("));
    CHECK(contains(text, "thread (0, 0, 0) waits in __syncthreads at "));
    CHECK(contains(text, "planted_bugs.cuh:"));
    CHECK(contains(text, "but thread (40, 0, 0) has returned"));
    CHECK(fault_of([&] { run(64); }).empty());
    CHECK(out[63] == 1.0f);
  });
}

TEST_CASE("the fault carries where it happened") {
  simt::Grid grid(simt::Order::reversed);
  std::vector<float> out(64);
  try {
    launch(grid, "early_return", planted::early_return_kernel, dim3(3, 2), 64, 0, 40, out.data());
    FAIL("no fault");
  } catch (const simt::KernelFault& fault) {
    CHECK(fault.kernel == "early_return");
    CHECK(fault.block.x == 2);  // reversed: the last block goes first
    CHECK(fault.block.y == 1);
    CHECK(fault.thread.x == 0);
  }
}

TEST_CASE("barriers at two lines do not make one barrier") {
  in_all_orders([](simt::Grid& grid) {
    std::vector<float> out(64);
    const std::string text = fault_of(
        [&] { launch(grid, "barrier_in_branch", planted::barrier_in_branch_kernel, 1, 64, 0, out.data()); });
    CHECK(contains(text, "barrier_in_branch: barrier divergence"));
    CHECK(contains(text, "thread (0, 0, 0) waits in __syncthreads"));
    CHECK(contains(text, "but thread (32, 0, 0) waits in __syncthreads"));
  });
}

TEST_CASE("a shuffle whose lanes never arrive is reported") {
  in_all_orders([](simt::Grid& grid) {
    std::vector<float> out(32);
    std::string text = fault_of(
        [&] { launch(grid, "shuffle_in_branch", planted::shuffle_in_branch_kernel, 1, 32, 0, out.data()); });
    CHECK(contains(text, "shuffle_in_branch: warp collective divergence in block (0, 0, 0)"));
    CHECK(contains(text, "thread (0, 0, 0) waits in __shfl_xor_sync"));
    CHECK(contains(text, "with mask 0xffffffff, but thread (1, 0, 0) has returned"));

    text = fault_of([&] {
      launch(grid, "shuffle_against_barrier", planted::shuffle_against_barrier_kernel, 1, 32, 0, out.data());
    });
    CHECK(contains(text, "but thread (5, 0, 0) waits in __syncthreads"));

    text =
        fault_of([&] { launch(grid, "foreign_mask", planted::foreign_mask_kernel, 1, 32, 0, out.data()); });
    CHECK(contains(text, "with mask 0x0000ffff, which does not name its own lane"));
  });
}

TEST_CASE("a read of unwritten shared memory shows as a NaN") {
  in_all_orders([](simt::Grid& grid) {
    std::vector<float> out(32);
    launch(grid, "unwritten", planted::unwritten_kernel, 1, 32, 0, 6, out.data());
    CHECK(out[0] == 6.0f);
    launch(grid, "unwritten", planted::unwritten_kernel, 1, 32, 0, 7, out.data());
    for (const float v : out) CHECK(std::isnan(v));
  });
}

TEST_CASE("or, where no NaN survives, as a result that depends on the fill") {
  in_all_orders([](simt::Grid& grid) {
    const auto any = [&](int width, unsigned char fill) {
      grid.set_shared_fill(fill);
      std::vector<int> out(32);
      launch(grid, "unwritten_flag", planted::unwritten_flag_kernel, 1, 32, 0, width, out.data());
      return out[0];
    };
    CHECK(any(6, 0xff) == any(6, 0x00));
    CHECK(any(7, 0xff) != any(7, 0x00));
  });
}

}  // namespace
}  // namespace fovea
