// SPDX-License-Identifier: Apache-2.0
#include <cmath>
#include <cstdint>
#include <vector>

#include "kernels/simt/simt.h"
#include "tests/simt/orders.h"

namespace fovea {
namespace {

constexpr unsigned kFull = 0xffffffffu;

struct Shuffled {
  float from3, from3_of_8, up2, up2_of_8, down2, down2_of_8, flip5, flip5_of_4;
  double wide;
  long long wide_integer;
};

__global__ void shuffle_kernel(Shuffled* out) {
  const int lane = static_cast<int>(threadIdx.x);
  const float v = static_cast<float>(lane);
  out[lane] = {.from3 = __shfl_sync(kFull, v, 3),
               .from3_of_8 = __shfl_sync(kFull, v, 3, 8),
               .up2 = __shfl_up_sync(kFull, v, 2),
               .up2_of_8 = __shfl_up_sync(kFull, v, 2, 8),
               .down2 = __shfl_down_sync(kFull, v, 2),
               .down2_of_8 = __shfl_down_sync(kFull, v, 2, 8),
               .flip5 = __shfl_xor_sync(kFull, v, 5),
               .flip5_of_4 = __shfl_xor_sync(kFull, v, 5, 4),
               .wide = __shfl_xor_sync(kFull, 1.0 + lane * 1e-12, 1),
               .wide_integer = __shfl_sync(kFull, (1LL << 40) + lane, 31)};
}

TEST_CASE("shuffles move values as CUDA defines them, also in segments and for 8-byte types") {
  in_all_orders([](simt::Grid& grid) {
    std::vector<Shuffled> out(32);
    launch(grid, "shuffle", shuffle_kernel, 1, 32, 0, out.data());
    for (int lane = 0; lane < 32; ++lane) {
      CAPTURE(lane);
      const Shuffled& s = out[static_cast<std::size_t>(lane)];
      const int in8 = lane % 8, base8 = lane - in8, base4 = lane - lane % 4;
      CHECK(s.from3 == 3);
      CHECK(s.from3_of_8 == base8 + 3);
      CHECK(s.up2 == (lane < 2 ? lane : lane - 2));
      CHECK(s.up2_of_8 == (in8 < 2 ? lane : lane - 2));
      CHECK(s.down2 == (lane >= 30 ? lane : lane + 2));
      CHECK(s.down2_of_8 == (in8 >= 6 ? lane : lane + 2));
      CHECK(s.flip5 == (lane ^ 5));
      const int flipped = lane ^ 5;  // a source in a later segment gives the lane's own value
      CHECK(s.flip5_of_4 == (flipped - flipped % 4 > base4 ? lane : flipped));
      CHECK(s.wide == 1.0 + (lane ^ 1) * 1e-12);
      CHECK(s.wide_integer == (1LL << 40) + 31);
    }
  });
}

struct Votes {
  unsigned ballot;
  int any_of_none, any_of_one, all_of_all, all_but_one;
};

__global__ void vote_kernel(Votes* out) {
  const unsigned lane = threadIdx.x % 32;
  out[threadIdx.x] = {__ballot_sync(kFull, lane % 3 == 0), __any_sync(kFull, 0), __any_sync(kFull, lane == 4),
                      __all_sync(kFull, 7), __all_sync(kFull, lane != 4)};
}

TEST_CASE("votes see the lanes of their warp, and only lanes that exist") {
  in_all_orders([](simt::Grid& grid) {
    std::vector<Votes> out(40);  // the second warp has 8 lanes
    launch(grid, "vote", vote_kernel, 1, 40, 0, out.data());
    unsigned thirds = 0;
    for (unsigned lane = 0; lane < 32; lane += 3) thirds |= 1u << lane;
    for (std::size_t i = 0; i < out.size(); ++i) {
      CAPTURE(i);
      CHECK(out[i].ballot == (i < 32 ? thirds : (thirds & 0xffu)));
      CHECK(out[i].any_of_none == 0);
      CHECK(out[i].any_of_one == 1);
      CHECK(out[i].all_of_all == 1);
      CHECK(out[i].all_but_one == 0);
    }
  });
}

__global__ void halves_kernel(int* out) {
  const unsigned lane = threadIdx.x;
  int v = static_cast<int>(lane);
  if (lane < 16) {
    v += __shfl_xor_sync(0x0000ffffu, v, 1);
    v += __shfl_xor_sync(0x0000ffffu, v, 2);
  } else {
    v *= 100;
    __syncwarp(0xffff0000u);
    v += __shfl_xor_sync(0xffff0000u, v, 8);
  }
  out[lane] = v;
}

TEST_CASE("two halves of a warp may go their own ways with masks that name them") {
  in_all_orders([](simt::Grid& grid) {
    std::vector<int> out(32);
    launch(grid, "halves", halves_kernel, 1, 32, 0, out.data());
    for (int lane = 0; lane < 32; ++lane) {
      CAPTURE(lane);
      const int base = lane / 4 * 4;
      const int expected = lane < 16 ? 4 * base + 6 : 100 * (lane + (lane ^ 8));
      CHECK(out[static_cast<std::size_t>(lane)] == expected);
    }
  });
}

__global__ void absent_lane_kernel(float* out) { out[threadIdx.x] = __shfl_sync(kFull, 1.0f, 7); }

TEST_CASE("a value from a lane that does not exist is a NaN, not a lucky number") {
  in_all_orders([](simt::Grid& grid) {
    std::vector<float> out(5, 0.0f);
    launch(grid, "absent_lane", absent_lane_kernel, 1, 5, 0, out.data());
    for (const float v : out) CHECK(std::isnan(v));
  });
}

struct Counted {
  int count, any, all;
};

__global__ void counting_barrier_kernel(Counted* out) {
  const int rank = static_cast<int>(threadIdx.x);
  out[rank] = {__syncthreads_count(rank % 2), __syncthreads_or(rank == 77), __syncthreads_and(rank != 77)};
}

TEST_CASE("barriers that vote count over the whole block") {
  in_all_orders([](simt::Grid& grid) {
    for (const unsigned threads : {77u, 78u}) {
      CAPTURE(threads);
      std::vector<Counted> out(threads);
      launch(grid, "counting_barrier", counting_barrier_kernel, 1, threads, 0, out.data());
      for (const Counted& c : out) {
        CHECK(c.count == static_cast<int>(threads / 2));
        CHECK(c.any == (threads > 77 ? 1 : 0));
        CHECK(c.all == (threads > 77 ? 0 : 1));
      }
    }
  });
}

struct Cells {
  int sum = 0, high = 0, low = 0, mask_or = 0, mask_and = -1, mask_xor = 0, swaps = 0, last = 0;
  unsigned long long wide = 0;
};

__global__ void atomic_kernel(Cells* c) {
  const int rank = static_cast<int>(blockIdx.x * blockDim.x + threadIdx.x);
  atomicAdd(&c->sum, rank);
  atomicMax(&c->high, rank);
  atomicMin(&c->low, -rank);
  atomicOr(&c->mask_or, 1 << (rank % 31));
  atomicAnd(&c->mask_and, ~(1 << (rank % 31)));
  atomicXor(&c->mask_xor, 3);
  atomicAdd(&c->wide, 1ull << 33);
  if (atomicCAS(&c->swaps, 0, 5) == 5) atomicExch(&c->last, 9);
}

TEST_CASE("integer atomics") {
  in_all_orders([](simt::Grid& grid) {
    Cells c;
    launch(grid, "atomic", atomic_kernel, 3, 64, 0, &c);
    CHECK(c.sum == 191 * 192 / 2);
    CHECK(c.high == 191);
    CHECK(c.low == -191);
    CHECK(c.mask_or == 0x7fffffff);
    CHECK(c.mask_and == static_cast<int>(0x80000000u));
    CHECK(c.mask_xor == 0);
    CHECK(c.wide == 192ull << 33);
    CHECK(c.swaps == 5);
    CHECK(c.last == 9);
  });
}

template <class T>
concept HasAtomicAdd = requires(T* p, T v) {
  atomicAdd(p, v);
};
static_assert(HasAtomicAdd<int> && HasAtomicAdd<unsigned> && HasAtomicAdd<unsigned long long>);
static_assert(!HasAtomicAdd<float> && !HasAtomicAdd<double>, "the order of additions would change the bits");

}  // namespace
}  // namespace fovea
