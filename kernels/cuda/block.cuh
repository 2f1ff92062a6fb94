// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstdint>
#include <type_traits>

#include "kernels/simt/simt.h"

/// Reductions over the threads of a warp and of a block.
///
/// The order of operations depends on the number of threads alone, so equal inputs give equal bits; all
/// threads get the same bits, also from an operation whose rounding depends on the order of its operands.
namespace fovea::gpu {

struct Add {
  template <class T>
  __device__ __forceinline__ T operator()(T a, T b) const {
    return a + b;
  }
};
/// A NaN wins.
struct Max {
  template <class T>
  __device__ __forceinline__ T operator()(T a, T b) const {
    return a > b || a != a ? a : b;
  }
};
struct Min {
  template <class T>
  __device__ __forceinline__ T operator()(T a, T b) const {
    return a < b || a != a ? a : b;
  }
};

/// Two sums in one reduction; identity {0, 0}.
struct Pair {
  float first, second;
};
struct AddPair {
  __device__ __forceinline__ Pair operator()(Pair a, Pair b) const {
    return {a.first + b.first, a.second + b.second};
  }
};

/// Mean and sum of squared deviations of `count` values; identity {0, 0, 0}.
/// source  Welford 1962 (one value at a time); Chan, Golub, LeVeque 1983 (merging two sets)
struct Moments {
  float count, mean, m2;
  __device__ __forceinline__ void include(float value) {
    count += 1.0f;
    const float delta = value - mean;
    mean += delta / count;
    m2 = fmaf(delta, value - mean, m2);
  }
};
struct Merge {
  __device__ __forceinline__ Moments operator()(Moments a, Moments b) const {
    const float count = a.count + b.count;
    if (count == 0.0f) return a;
    const float delta = b.mean - a.mean, share = b.count / count;
    return {count, fmaf(delta, share, a.mean), a.m2 + fmaf(delta * delta, a.count * share, b.m2)};
  }
};

/// This thread's number in its block, and the number of threads of the block, for blocks of any shape.
__device__ __forceinline__ int thread_rank() {
  return static_cast<int>((threadIdx.z * blockDim.y + threadIdx.y) * blockDim.x + threadIdx.x);
}
__device__ __forceinline__ int block_threads() {
  return static_cast<int>(blockDim.x * blockDim.y * blockDim.z);
}

/// The value of another lane of the full warp, for any type made of whole words.
template <class T>
__device__ __forceinline__ T shuffle_from(T value, int lane) {
  static_assert(std::is_trivially_copyable_v<T> && sizeof(T) % 4 == 0);
  unsigned words[sizeof(T) / 4];
  __builtin_memcpy(words, &value, sizeof value);
  for (unsigned& word : words) word = __shfl_sync(0xffffffffu, word, lane);
  __builtin_memcpy(&value, words, sizeof value);
  return value;
}

/// Combines the values of the first `lanes` lanes of a warp; all lanes of the warp that exist take part, and
/// each gets the result. `lanes` must be the same in the whole warp. The tree is the butterfly 16, 8, 4, 2, 1
/// with absent lanes left out; the lower lane is always the left operand.
template <class T, class Op>
__device__ __forceinline__ T warp_reduce(T value, Op op, int lanes = 32) {
  const int lane = thread_rank() % 32;
  for (int step = 16; step > 0; step /= 2) {
    const T other = shuffle_from(value, lane ^ step);
    if ((lane ^ step) < lanes) value = (lane & step) != 0 ? op(other, value) : op(value, other);
  }
  return lanes == 32 ? value : shuffle_from(value, 0);  // with lanes missing, only lane 0 has met them all
}

/// Combines one value of each thread of the block; every thread gets the result. All threads must call.
///
/// kThreads  threads of the block if known at compile time, else 0
/// scratch   shared memory, one T per warp (32 always suffice); may be reused as soon as this returns
///
/// Note [Two barriers]: the first lets no thread read `scratch` before all warps have written it; the second
/// lets no thread return, and perhaps write `scratch` again, before all have read it.
template <int kThreads = 0, class T, class Op>
__device__ __forceinline__ T block_reduce(T value, Op op, T* scratch) {
  static_assert(kThreads >= 0 && kThreads <= 1024);
  const int threads = kThreads > 0 ? kThreads : block_threads();
  const int rank = thread_rank(), warp = rank / 32;
  const int lanes = threads - warp * 32;
  value = warp_reduce(value, op, lanes < 32 ? lanes : 32);
  if (threads <= 32) return value;
  if (rank % 32 == 0) scratch[warp] = value;
  __syncthreads();
  T total = scratch[0];
  for (int w = 1; w < (threads + 31) / 32; ++w) total = op(total, scratch[w]);
  __syncthreads();
  return total;
}

}  // namespace fovea::gpu
