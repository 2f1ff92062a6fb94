// SPDX-License-Identifier: Apache-2.0
/// The product by cp.async, ldmatrix and mma, with its loads and stores followed. Compiled as races.cpp is.
#include <algorithm>

#include "kernels/simt/access_report.h"
#include "tests/simt/aligned_memory.h"
#include "tests/simt/orders.h"
#include "tests/simt/tensor_core_kernels.cuh"

namespace fovea {
namespace {

using test::Slip;

template <Slip kSlip>
std::string fault(simt::Grid& grid, int m = 33, int n = 40, int k = 64) {
  const AlignedMemory<bf16> a(static_cast<std::size_t>(m * k)), b(static_cast<std::size_t>(k * n));
  const AlignedMemory<float> c(static_cast<std::size_t>(m * n));
  return fault_of([&] {
    launch(grid, "product", test::product_kernel<kSlip>,
           dim3(static_cast<unsigned>(n + 31) / 32, static_cast<unsigned>(m + 31) / 32), 128, 0, m, n, k,
           a.get(), b.get(), c.get());
  });
}

TEST_CASE("a product with asynchronous copies is free of races, and each slip in it is named") {
  in_all_orders([](simt::Grid& grid) {
    CHECK(fault<Slip::none>(grid) == "");
    for (const std::string& text : {fault<Slip::no_wait>(grid), fault<Slip::late_wait>(grid)}) {
      CHECK(contains(text, "product: unwritten read in block ("));
      CHECK(contains(text, "where a cp.async has not arrived (tensor_core"));
    }
    const std::string early = fault<Slip::early_copy>(grid);
    CHECK((contains(early, "cp.async has not arrived") || contains(early, "product: race in block (")));
    // Which of the two is met first depends on the order: a tile nobody has filled, or one that is being filled.
    const std::string open = fault<Slip::no_barrier>(grid);
    CHECK(
        (contains(open, "product: unwritten read in block (") || contains(open, "product: race in block (")));
    CHECK(fault<Slip::none>(grid) == "");
  });
}

TEST_CASE("padding frees the reads of ldmatrix from bank conflicts, and leaves the copies two to a bank") {
  in_all_orders([](simt::Grid& grid) {
    grid.count_accesses(true);
    CHECK(fault<Slip::none>(grid, 32, 32, 64) == "");
    const simt::AccessReport report = grid.access_report();
    simt::AccessSite reads, writes;
    for (const simt::AccessSite& site : report.find("product")->sites) {
      if (!site.shared) continue;
      simt::AccessSite& sum = site.write ? writes : reads;
      sum.requests += site.requests;
      sum.units += site.units;
      sum.worst = std::max(sum.worst, site.worst);
    }
    CHECK(reads.requests == 4 * 4 * 2);  // steps, warps, two ldmatrix each
    CHECK(reads.units == 4 * reads.requests);
    CHECK(reads.worst == 1);
    CHECK(writes.requests ==
          4 * 4);  // one copy of each warp: rows of 32 bytes 48 apart, or of 64 bytes 80 apart
    CHECK(writes.units == 2 * 4 * writes.requests);
    CHECK(writes.worst == 2);
    // A step reads rows of 32 bytes of a, of 64 bytes of b: whole sectors. c is written two numbers a lane apart.
    CHECK(report.find("product")->total(false).requests == 4 * 4 + 4 * 8);
    CHECK(report.find("product")->total(false).units == 4 * 4 * 16 + 4 * 8 * 8);
  });
}

__global__ void atomic_and_plain_kernel(int* counter, int* out) {
  atomicAdd(counter, 1);
  out[threadIdx.x] = *counter;
}
__global__ void atomic_then_barrier_kernel(int* counter, int* out) {
  if (threadIdx.x == 0) *counter = 0;
  __syncthreads();
  atomicAdd(counter, 1);
  __syncthreads();
  out[threadIdx.x] = *counter;
}

TEST_CASE("atomics do not conflict with each other, and do with plain accesses that no barrier orders") {
  in_all_orders([](simt::Grid& grid) {
    int counter = 0, out[64] = {};
    CHECK(fault_of([&] { launch(grid, "good", atomic_then_barrier_kernel, 1, 64, 0, &counter, out); }) == "");
    CHECK(out[63] == 64);
    const std::string text =
        fault_of([&] { launch(grid, "bad", atomic_and_plain_kernel, 1, 64, 0, &counter, out); });
    CHECK(contains(text, "bad: race in block (0, 0, 0): thread ("));
    CHECK(contains(text, ", and no barrier orders the two"));
  });
}

}  // namespace
}  // namespace fovea
