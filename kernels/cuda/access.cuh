// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstdint>

#include "kernels/simt/simt.h"

/// How threads divide the elements of an array, and how they read several at once.
namespace fovea::gpu {

/// All indices 0..n−1 shared out among the threads of a one-dimensional grid, for any number of blocks:
/// `for (std::int64_t i : gpu::grid_stride(n)) y[i] = f(x[i]);`. Consecutive threads take consecutive
/// indices, so loads coalesce.
class GridStride {
 public:
  struct End {
    std::int64_t n;
  };
  struct Iterator {
    std::int64_t i, step;
    __device__ __forceinline__ std::int64_t operator*() const { return i; }
    __device__ __forceinline__ Iterator& operator++() {
      i += step;
      return *this;
    }
    __device__ __forceinline__ bool operator!=(End end) const { return i < end.n; }
  };
  __device__ __forceinline__ explicit GridStride(std::int64_t n) : n_(n) {}
  __device__ __forceinline__ Iterator begin() const {
    return {std::int64_t{blockIdx.x} * blockDim.x + threadIdx.x, std::int64_t{gridDim.x} * blockDim.x};
  }
  __device__ __forceinline__ End end() const { return {n_}; }

 private:
  std::int64_t n_;
};
__device__ __forceinline__ GridStride grid_stride(std::int64_t n) { return GridStride(n); }

/// The same within one block: indices 0..n−1 among the threads of a one-dimensional block.
class BlockStride {
 public:
  __device__ __forceinline__ explicit BlockStride(std::int64_t n) : n_(n) {}
  __device__ __forceinline__ GridStride::Iterator begin() const {
    return {std::int64_t{threadIdx.x}, std::int64_t{blockDim.x}};
  }
  __device__ __forceinline__ GridStride::End end() const { return {n_}; }

 private:
  std::int64_t n_;
};
__device__ __forceinline__ BlockStride block_stride(std::int64_t n) { return BlockStride(n); }

/// Blocks that give each of n ≥ 0 elements a thread, at most `limit` (the grid stride does the rest) and at
/// least one, since a launch of no blocks is an error.
inline unsigned blocks_for(std::int64_t n, int threads, std::int64_t limit = 16384) {
  const std::int64_t blocks = (n + threads - 1) / threads;
  return static_cast<unsigned>(blocks < 1 ? 1 : blocks < limit ? blocks : limit);
}

/// As the x extent of a grid. More blocks than a grid can have become 2^31, which the launch refuses by name; a plain
/// conversion could wrap to a number that it takes.
inline unsigned grid_blocks(std::int64_t blocks) {
  constexpr std::int64_t kTooMany = std::int64_t{1} << 31;
  return static_cast<unsigned>(blocks < kTooMany ? blocks : kTooMany);
}

/// N values that move as one: 16 bytes are the widest access of a thread.
template <class T, int N>
struct alignas(sizeof(T) * N) Pack {
  static_assert(sizeof(T) * N <= 16 && (N & (N - 1)) == 0);
  T lane[N];
  __host__ __device__ T& operator[](int i) { return lane[i]; }
  __host__ __device__ const T& operator[](int i) const { return lane[i]; }
};

/// Values of T in 16 bytes.
template <class T>
inline constexpr int kPackWidth = 16 / static_cast<int>(sizeof(T));

/// Pack number i of the array at p. p must be aligned to the pack: ask can_pack first.
template <int N, class T>
__device__ __forceinline__ Pack<T, N> load_pack(const T* p, std::int64_t i) {
  return reinterpret_cast<const Pack<T, N>*>(p)[i];
}
template <int N, class T>
__device__ __forceinline__ void store_pack(T* p, std::int64_t i, const Pack<T, N>& values) {
  reinterpret_cast<Pack<T, N>*>(p)[i] = values;
}

/// True if arrays of `count` elements at all of these addresses can be read as packs of N. A launcher then
/// starts the kernel's pack instantiation over count / N packs, and else the same template with N = 1.
template <int N, class... T>
bool can_pack(std::int64_t count, const T*... arrays) {
  return count % N == 0 && ((reinterpret_cast<std::uintptr_t>(arrays) % (sizeof(T) * N) == 0) && ...);
}

template <int N>
struct PackTag {};

/// Calls body(PackTag<N>, number of packs): N values at a time if all arrays of `count` elements can be read so, else
/// one. For kernels that walk over whole arrays.
template <class Body, class T, class... Ts>
void with_packs(std::int64_t count, const Body& body, const T* first, const Ts*... others) {
  constexpr int kWidth = kPackWidth<T>;
  if (can_pack<kWidth>(count, first, others...))
    body(PackTag<kWidth>{}, count / kWidth);
  else
    body(PackTag<1>{}, count);
}

}  // namespace fovea::gpu
