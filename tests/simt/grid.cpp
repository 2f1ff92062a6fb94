// SPDX-License-Identifier: Apache-2.0
#include "kernels/simt/grid.h"

#include <algorithm>
#include <stdexcept>
#include <thread>
#include <vector>

#include "kernels/arena.h"
#include "kernels/simt/access_report.h"
#include "kernels/simt/simt.h"
#include "tests/simt/orders.h"

namespace fovea {
namespace {

struct Log {
  std::vector<int> turns;
};

__global__ void log_kernel(Log* log) {
  const unsigned block = (blockIdx.z * gridDim.y + blockIdx.y) * gridDim.x + blockIdx.x;
  const unsigned thread = (threadIdx.z * blockDim.y + threadIdx.y) * blockDim.x + threadIdx.x;
  log->turns.push_back(static_cast<int>(block * blockDim.x * blockDim.y * blockDim.z + thread));
}

TEST_CASE("every thread of every block runs once, in the order asked for") {
  for (const dim3 shape : {dim3(1), dim3(3, 2, 4), dim3(70)}) {
    const unsigned count = shape.x * shape.y * shape.z * 40;
    in_all_orders([&](simt::Grid& grid) {
      Log log;
      launch(grid, "log", log_kernel, shape, dim3(5, 4, 2), 0, &log);
      std::vector<int> sorted = log.turns;
      std::sort(sorted.begin(), sorted.end());
      REQUIRE(sorted.size() == count);
      for (unsigned i = 0; i < count; ++i) REQUIRE(sorted[i] == static_cast<int>(i));
      if (grid.order() == simt::Order::forward) CHECK(log.turns == sorted);
      if (grid.order() == simt::Order::reversed) {
        std::reverse(sorted.begin(), sorted.end());
        CHECK(log.turns == sorted);
      }
      if (grid.order() == simt::Order::shuffled) {
        CHECK(log.turns != sorted);
        Log again;
        launch(grid, "log", log_kernel, shape, dim3(5, 4, 2), 0, &again);
        CHECK(log.turns == again.turns);  // the same chance each time: failures repeat
      }
    });
  }
}

__global__ void phases_kernel(Log* log) {
  log->turns.push_back(static_cast<int>(threadIdx.x));
  __syncwarp();
  log->turns.push_back(100 + static_cast<int>(threadIdx.x));
  __syncthreads();
  log->turns.push_back(200 + static_cast<int>(threadIdx.x));
}

TEST_CASE("a warp goes as far as it can before the next one starts") {
  simt::Grid grid;
  Log log;
  launch(grid, "phases", phases_kernel, 1, 64, 0, &log);
  std::vector<int> expected;
  for (const int start : {0, 100, 32, 132, 200, 232})
    for (int i = 0; i < 32; ++i) expected.push_back(start + i);
  CHECK(log.turns == expected);
}

__global__ void nothing_kernel() {}

TEST_CASE("launches are counted") {
  simt::Grid grid;
  CHECK(grid.launches() == 0);
  launch(grid, "nothing", nothing_kernel, 4, 4, 0);
  launch(grid, "nothing", nothing_kernel, 1, 1, 0);
  CHECK(grid.launches() == 2);
  grid.reset_launches();
  CHECK(grid.launches() == 0);
}

TEST_CASE("a launch outside of the machine's limits is refused and names the kernel") {
  simt::Grid grid;
  const auto refusal = [&](dim3 blocks, dim3 threads) {
    return fault_of([&] { launch(grid, "nothing", nothing_kernel, blocks, threads, 0); });
  };
  CHECK(contains(refusal(1, 1025), "nothing: block (1025, 1, 1) has 1025 threads; 1 to 1024 are allowed"));
  CHECK(contains(refusal(1, dim3(33, 32)), "has 1056 threads"));
  CHECK(contains(refusal(1, 0), "has 0 threads"));
  CHECK(contains(refusal(1, dim3(1, 1, 65)), "at most 64 along z"));
  CHECK(contains(refusal(0, 1), "grid (0, 1, 1) is outside of"));
  CHECK(contains(refusal(dim3(1, 65536), 1), "grid (1, 65536, 1) is outside of"));
  CHECK(contains(refusal(dim3(1, 1, 65536), 1), "grid (1, 1, 65536) is outside of"));
  CHECK(grid.launches() == 0);
}

__global__ void throwing_kernel(int bad, int* ran) {
  __syncthreads();
  if (static_cast<int>(threadIdx.x) == bad) throw std::runtime_error("from inside");
  __syncthreads();
  ++*ran;
}

TEST_CASE("what a kernel throws arrives at the launch, and the grid works on") {
  in_all_orders([](simt::Grid& grid) {
    int ran = 0;
    CHECK_THROWS_WITH_AS(launch(grid, "throwing", throwing_kernel, 2, 64, 0, 40, &ran), "from inside",
                         std::runtime_error);
    CHECK(ran == 0);
    launch(grid, "throwing", throwing_kernel, 2, 64, 0, -1, &ran);
    CHECK(ran == 128);
  });
}

__global__ void launching_kernel(simt::Grid* grid) { launch(*grid, "nothing", nothing_kernel, 1, 1, 0); }

TEST_CASE("a kernel cannot launch") {
  simt::Grid grid, other;
  CHECK(contains(fault_of([&] { launch(grid, "launching", launching_kernel, 1, 1, 0, &grid); }),
                 "nothing: launched from inside of a kernel"));
  CHECK(contains(fault_of([&] { launch(grid, "launching", launching_kernel, 1, 1, 0, &other); }),
                 "nothing: launched from inside of a kernel"));
}

TEST_CASE("device functions outside of a kernel say so") {
  CHECK_THROWS_WITH_AS(__syncthreads(), "a device function was called outside of a kernel", std::logic_error);
}

__global__ void identify_kernel(int base, int* out) {
  __syncthreads();
  out[threadIdx.x] = base + static_cast<int>(threadIdx.x);
}

TEST_CASE("grids on several threads do not meet, and a grid may move between threads") {
  simt::Grid moved;
  std::vector<int> outs[3] = {std::vector<int>(50), std::vector<int>(50), std::vector<int>(50)};
  launch(moved, "identify", identify_kernel, 1, 50, 0, 7, outs[2].data());
  std::thread a([&] {
    simt::Grid grid;
    for (int i = 0; i < 50; ++i) launch(grid, "identify", identify_kernel, 1, 50, 0, 1000, outs[0].data());
  });
  std::thread b([&] {
    for (int i = 0; i < 50; ++i) launch(moved, "identify", identify_kernel, 1, 50, 0, 2000, outs[1].data());
  });
  a.join();
  b.join();
  for (int i = 0; i < 50; ++i) {
    const auto k = static_cast<std::size_t>(i);
    CHECK(outs[0][k] == 1000 + i);
    CHECK(outs[1][k] == 2000 + i);
    CHECK(outs[2][k] == 7 + i);
  }
}

TEST_CASE("an access report of kernels that are not followed says so") {
  simt::Grid grid;
  CHECK(grid.access_report().text() == "no kernel was launched\n");
  grid.count_accesses(true);
  int out = 0;
  launch(grid, "identify", identify_kernel, 1, 1, 0, 7, &out);
  CHECK(contains(grid.access_report().text(), "only kernels compiled with FOVEA_RACES=ON are followed"));
}

TEST_CASE("launches of a capture are kept with their arguments, and run in order at each replay") {
  simt::Grid grid;
  int out[2] = {};
  int number = 5;
  grid.begin_capture();
  CHECK_THROWS_WITH_AS(grid.begin_capture(), "a capture has begun already: captures do not nest",
                       std::logic_error);
  launch(grid, "identify", identify_kernel, 1, 1, 0, number, &out[0]);
  launch(grid, "identify", identify_kernel, 1, 1, 0, 9, &out[0]);
  launch(grid, "identify", identify_kernel, 1, 1, 0, 2, &out[1]);
  number = 6;  // the argument was copied
  const Captured captured = grid.end_capture();
  CHECK(captured.launches == 3);
  CHECK(grid.launches() == 0);
  CHECK(out[0] == 0);
  grid.replay(captured);
  const int first = out[0], second = out[1];
  CHECK(grid.launches() == 3);
  launch(grid, "identify", identify_kernel, 1, 1, 0, 9, &out[1]);
  CHECK(first == out[1]);
  launch(grid, "identify", identify_kernel, 1, 1, 0, 2, &out[0]);
  CHECK(second == out[0]);
  grid.begin_capture();
  launch(grid, "identify", identify_kernel, 1, 1, 0, 5, &out[0]);
  grid.abandon_capture();
  CHECK(out[0] == second);
  grid.begin_capture();
  CHECK(grid.end_capture().launches == 0);
}

TEST_CASE("scratch comes from the grid's arena") {
  simt::Grid grid;
  {
    const Scratch<float> scratch(grid, 100, "test");
    CHECK(grid.arena().stats().live_bytes >= 400);
    scratch.data()[99] = 1.0f;
  }
  CHECK(grid.arena().stats().live_bytes == 0);
}

}  // namespace
}  // namespace fovea
