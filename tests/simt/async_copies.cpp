// SPDX-License-Identifier: Apache-2.0
/// cp.async: what arrives, when, and what is refused.
#include <cmath>
#include <cstdint>
#include <vector>

#include "tests/simt/aligned_memory.h"
#include "tests/simt/orders.h"
#include "tests/simt/tensor_core_kernels.cuh"

namespace fovea {
namespace {

template <int kBytes>
int wrong_bytes(simt::Grid& grid, int valid) {
  constexpr int kAll = 32 * kBytes;
  const AlignedMemory<unsigned char> x(kAll), y(kAll);
  for (int i = 0; i < kAll; ++i) x.get()[i] = static_cast<unsigned char>(1 + i % 251);
  launch(grid, "async_copy", test::async_copy_kernel<kBytes>, 1, 32, kAll, valid, x.get(), y.get());
  int wrong = 0;
  for (int i = 0; i < kAll; ++i) wrong += y.get()[i] == (i % kBytes < valid ? x.get()[i] : 0) ? 0 : 1;
  return wrong;
}

TEST_CASE("cp.async brings 4, 8 or 16 bytes, or some of them and zeros") {
  in_all_orders([](simt::Grid& grid) {
    for (const int valid : {0, 1, 3, 4}) CHECK(wrong_bytes<4>(grid, valid) == 0);
    for (const int valid : {0, 4, 7, 8}) CHECK(wrong_bytes<8>(grid, valid) == 0);
    for (const int valid : {0, 2, 12, 16}) CHECK(wrong_bytes<16>(grid, valid) == 0);
  });
}

/// Three groups in flight; after each wait, what has arrived.
__global__ void pipeline_kernel(const float* x, float* y) {
  FOVEA_SHARED(float, stage, [3]);
  for (int i = 0; i < 3; ++i) {
    gpu::async_copy<4>(&stage[i], x + i);
    gpu::async_commit();
  }
  const auto look = [&](int row) {
    for (int i = 0; i < 3; ++i) y[row * 3 + i] = stage[i];
  };
  look(0);
  gpu::async_wait<3>();
  look(1);
  gpu::async_wait<2>();
  look(2);
  gpu::async_wait<1>();
  look(3);
  gpu::async_wait<0>();
  look(4);
}

TEST_CASE("a group arrives when it is waited for, not before") {
  in_all_orders([](simt::Grid& grid) {
    const AlignedMemory<float> x(3), y(15);
    for (int i = 0; i < 3; ++i) x.get()[i] = static_cast<float>(i + 1);
    launch(grid, "pipeline", pipeline_kernel, 1, 1, 0, x.get(), y.get());
    for (int row = 0; row < 5; ++row)
      for (int i = 0; i < 3; ++i) {
        CAPTURE(row);
        CAPTURE(i);
        const float got = y.get()[row * 3 + i];
        if (i < row - 1)
          CHECK(got == static_cast<float>(i + 1));
        else
          CHECK(std::isnan(got));
      }
  });
}

enum class Misuse {
  none,
  uncommitted,
  unwaited,
  source_changes,
  from_shared,
  to_global,
  misaligned_to,
  misaligned_from,
  overrun,
  too_many
};

template <Misuse kMisuse>
__global__ void misuse_kernel(float* x) {
  FOVEA_SHARED(float, stage, [8]);
  float* const to = kMisuse == Misuse::to_global       ? x + 4
                    : kMisuse == Misuse::misaligned_to ? stage + 1
                    : kMisuse == Misuse::overrun       ? stage + 8
                                                       : stage;
  const float* const from = kMisuse == Misuse::from_shared       ? stage + 4
                            : kMisuse == Misuse::misaligned_from ? x + 1
                                                                 : x;
  gpu::async_copy<16>(to, from, kMisuse == Misuse::too_many ? 17 : 16);
  if (kMisuse != Misuse::uncommitted) gpu::async_commit();
  if (kMisuse == Misuse::source_changes) x[2] = 5.0f;
  if (kMisuse != Misuse::unwaited) gpu::async_wait<0>();
  x[0] = 1.0f;
}

template <Misuse kMisuse>
std::string fault(simt::Grid& grid) {
  const AlignedMemory<float> x(8);
  return fault_of([&] { launch(grid, "misuse", misuse_kernel<kMisuse>, 1, 1, 0, x.get()); });
}

TEST_CASE("misuse of cp.async is reported") {
  in_all_orders([](simt::Grid& grid) {
    CHECK(fault<Misuse::none>(grid).empty());
    CHECK(contains(fault<Misuse::uncommitted>(grid),
                   "misuse: block (0, 0, 0), thread (0, 0, 0) returned with the "));
    CHECK(contains(fault<Misuse::uncommitted>(grid), "under way: it was never committed"));
    CHECK(contains(fault<Misuse::unwaited>(grid), "under way: it was committed but not waited for"));
    CHECK(contains(fault<Misuse::source_changes>(grid), "has changed since"));
    CHECK(contains(fault<Misuse::from_shared>(grid),
                   "from byte 16 of shared variable stage, expected global memory"));
    CHECK(contains(fault<Misuse::to_global>(grid), ", expected shared memory"));
    CHECK(contains(fault<Misuse::misaligned_to>(grid),
                   "byte 4 of shared variable stage, which is not a multiple of 16"));
    CHECK(contains(fault<Misuse::misaligned_from>(grid), ", which is not a multiple of 16"));
    CHECK(contains(fault<Misuse::overrun>(grid), "expected shared memory"));
    CHECK(contains(fault<Misuse::too_many>(grid), "to copy 17 of 16 bytes"));
    CHECK(fault<Misuse::none>(grid).empty());  // a fault leaves nothing behind
  });
}

}  // namespace
}  // namespace fovea
