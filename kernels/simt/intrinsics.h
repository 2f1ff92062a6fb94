// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <bit>
#include <cmath>
#include <cstdint>
#include <cstring>
#include <type_traits>

#include "kernels/simt/thread.h"
#include "kernels/simt/vector_types.h"

/// CUDA's device functions for the host compiler. Included by simt.h only. What CUDA leaves undefined is made
/// visible here: a shuffle from a lane that is not there gives all ones, a NaN in any float type.
///
/// Absent on purpose: atomicAdd on float and double (the order of additions would change the bits from run to
/// run), __activemask and shuffles without _sync (they assume lock step).

// Real variables, so that a debugger prints them and breaks on them like on a GPU.
extern constinit thread_local uint3 threadIdx, blockIdx;
extern constinit thread_local dim3 blockDim, gridDim;
constexpr int warpSize = 32;

// The call site of each wait travels along: reports name it, and threads that meet must come from one line.
#define FOVEA_SITE const char *file = __builtin_FILE(), unsigned line = __builtin_LINE()

// ---- barriers and fences --------------------------------------------------------------------------------

inline void __syncthreads(FOVEA_SITE) { fovea::simt::block_barrier(false, {"__syncthreads", file, line}); }
inline int __syncthreads_count(int vote, FOVEA_SITE) {
  return fovea::simt::block_barrier(vote != 0, {"__syncthreads_count", file, line});
}
inline int __syncthreads_or(int vote, FOVEA_SITE) {
  return fovea::simt::block_barrier(vote != 0, {"__syncthreads_or", file, line}) > 0 ? 1 : 0;
}
inline int __syncthreads_and(int vote, FOVEA_SITE) {
  return fovea::simt::block_barrier(vote == 0, {"__syncthreads_and", file, line}) == 0 ? 1 : 0;
}
inline void __syncwarp(unsigned mask = 0xffffffffu, FOVEA_SITE) {
  fovea::simt::warp_collective(fovea::simt::Collective::sync, mask, 0, 0, {"__syncwarp", file, line});
}
inline void __threadfence() {}
inline void __threadfence_block() {}
inline void __threadfence_system() {}

// ---- warp votes and shuffles ----------------------------------------------------------------------------

inline unsigned __ballot_sync(unsigned mask, int vote, FOVEA_SITE) {
  return static_cast<unsigned>(fovea::simt::warp_collective(fovea::simt::Collective::vote, mask, vote != 0, 0,
                                                            {"__ballot_sync", file, line}));
}
inline int __any_sync(unsigned mask, int vote, FOVEA_SITE) {
  return fovea::simt::warp_collective(fovea::simt::Collective::vote, mask, vote != 0, 0,
                                      {"__any_sync", file, line}) != 0;
}
inline int __all_sync(unsigned mask, int vote, FOVEA_SITE) {
  return fovea::simt::warp_collective(fovea::simt::Collective::vote, mask, vote == 0, 0,
                                      {"__all_sync", file, line}) == 0;
}

namespace fovea::simt {
template <class T>
T shuffle(unsigned mask, T value, unsigned source, Place place) {
  static_assert(std::is_arithmetic_v<T> && (sizeof(T) == 4 || sizeof(T) == 8),
                "CUDA shuffles int, long, float and double; see gpu::shuffle_from for structs");
  std::uint64_t bits = 0;
  std::memcpy(&bits, &value, sizeof value);
  bits = warp_collective(Collective::shuffle, mask, bits, source, place);
  std::memcpy(&value, &bits, sizeof value);
  return value;
}
}  // namespace fovea::simt

/// Lane `source` of this lane's segment of `width` lanes (a power of two).
template <class T>
T __shfl_sync(unsigned mask, T value, int source, int width = 32, FOVEA_SITE) {
  const unsigned lane = fovea::simt::lane_index(), inside = static_cast<unsigned>(width) - 1;
  return fovea::simt::shuffle(mask, value, (lane & ~inside) | (static_cast<unsigned>(source) & inside),
                              {"__shfl_sync", file, line});
}
/// The lane `delta` below; a lane whose source would lie before its segment keeps its own value.
template <class T>
T __shfl_up_sync(unsigned mask, T value, unsigned delta, int width = 32, FOVEA_SITE) {
  const unsigned lane = fovea::simt::lane_index(), inside = static_cast<unsigned>(width) - 1;
  const unsigned source = (lane & inside) < delta ? lane : lane - delta;
  return fovea::simt::shuffle(mask, value, source, {"__shfl_up_sync", file, line});
}
/// The lane `delta` above; a lane whose source would lie behind its segment keeps its own value.
template <class T>
T __shfl_down_sync(unsigned mask, T value, unsigned delta, int width = 32, FOVEA_SITE) {
  const unsigned lane = fovea::simt::lane_index(), inside = static_cast<unsigned>(width) - 1;
  const unsigned source = (lane & inside) + delta > inside ? lane : lane + delta;
  return fovea::simt::shuffle(mask, value, source, {"__shfl_down_sync", file, line});
}
/// The lane whose number differs in the bits of `flip`; a source in a later segment gives the own value.
template <class T>
T __shfl_xor_sync(unsigned mask, T value, int flip, int width = 32, FOVEA_SITE) {
  const unsigned lane = fovea::simt::lane_index(), inside = static_cast<unsigned>(width) - 1;
  const unsigned source = (lane ^ static_cast<unsigned>(flip)) & 31u;
  return fovea::simt::shuffle(mask, value, (source & ~inside) > (lane & ~inside) ? lane : source,
                              {"__shfl_xor_sync", file, line});
}
#undef FOVEA_SITE

// ---- atomics: one host thread runs the grid, so a plain read and write are indivisible
// ---------------------

namespace fovea::simt {
template <class T>
concept AtomicInteger = std::is_integral_v<T> &&(sizeof(T) == 4 || sizeof(T) == 8);
template <class T, class F>
FOVEA_NOT_NOTED T exchange_with(T* address, F f) {
  note_atomic(address, sizeof(T), __builtin_return_address(0));
  const T old = *address;
  *address = f(old);
  return old;
}
}  // namespace fovea::simt

template <fovea::simt::AtomicInteger T>
T atomicAdd(T* address, std::type_identity_t<T> value) {
  using Unsigned = std::make_unsigned_t<T>;  // wraps around, as on a GPU
  return fovea::simt::exchange_with(address, [&](T old) {
    return static_cast<T>(static_cast<Unsigned>(old) + static_cast<Unsigned>(value));
  });
}
float atomicAdd(float*, float) = delete;
double atomicAdd(double*, double) = delete;
template <fovea::simt::AtomicInteger T>
T atomicMax(T* address, std::type_identity_t<T> value) {
  return fovea::simt::exchange_with(address, [&](T old) { return old < value ? value : old; });
}
template <fovea::simt::AtomicInteger T>
T atomicMin(T* address, std::type_identity_t<T> value) {
  return fovea::simt::exchange_with(address, [&](T old) { return value < old ? value : old; });
}
template <fovea::simt::AtomicInteger T>
T atomicAnd(T* address, std::type_identity_t<T> value) {
  return fovea::simt::exchange_with(address, [&](T old) { return old & value; });
}
template <fovea::simt::AtomicInteger T>
T atomicOr(T* address, std::type_identity_t<T> value) {
  return fovea::simt::exchange_with(address, [&](T old) { return old | value; });
}
template <fovea::simt::AtomicInteger T>
T atomicXor(T* address, std::type_identity_t<T> value) {
  return fovea::simt::exchange_with(address, [&](T old) { return old ^ value; });
}
template <fovea::simt::AtomicInteger T>
T atomicExch(T* address, std::type_identity_t<T> value) {
  return fovea::simt::exchange_with(address, [&](T) { return value; });
}
template <fovea::simt::AtomicInteger T>
T atomicCAS(T* address, std::type_identity_t<T> expected, std::type_identity_t<T> value) {
  return fovea::simt::exchange_with(address, [&](T old) { return old == expected ? value : old; });
}

// ---- loads, bits, arithmetic ----------------------------------------------------------------------------

template <class T>
T __ldg(const T* address) {
  return *address;
}

inline int __popc(unsigned v) { return std::popcount(v); }
inline int __popcll(unsigned long long v) { return std::popcount(v); }
inline int __clz(int v) { return std::countl_zero(static_cast<unsigned>(v)); }
inline int __ffs(int v) { return __builtin_ffs(v); }
inline int __float_as_int(float v) { return std::bit_cast<int>(v); }
inline unsigned __float_as_uint(float v) { return std::bit_cast<unsigned>(v); }
inline float __int_as_float(int v) { return std::bit_cast<float>(v); }
inline float __uint_as_float(unsigned v) { return std::bit_cast<float>(v); }

template <class T>
requires std::is_arithmetic_v<T>
constexpr T min(T a, T b) { return b < a ? b : a; }
template <class T>
requires std::is_arithmetic_v<T>
constexpr T max(T a, T b) { return a < b ? b : a; }

inline float rsqrtf(float v) { return 1.0f / sqrtf(v); }
inline double rsqrt(double v) { return 1.0 / sqrt(v); }
inline float __fdividef(float a, float b) { return a / b; }
inline float __frcp_rn(float v) { return 1.0f / v; }
inline float __fsqrt_rn(float v) { return sqrtf(v); }
inline float __fadd_rn(float a, float b) { return a + b; }
inline float __fsub_rn(float a, float b) { return a - b; }
inline float __fmul_rn(float a, float b) { return a * b; }
inline float __fdiv_rn(float a, float b) { return a / b; }
inline float __fmaf_rn(float a, float b, float c) { return fmaf(a, b, c); }
inline float __saturatef(float v) { return v > 0.0f ? (v < 1.0f ? v : 1.0f) : 0.0f; }

// glibc declares functions of these names for its own use, hence macros. On a GPU these are less exact than
// the functions they stand for here; a test's bound must hold for the GPU.
#define __expf(v) expf(v)
#define __exp10f(v) exp10f(v)
#define __logf(v) logf(v)
#define __log2f(v) log2f(v)
#define __log10f(v) log10f(v)
#define __powf(a, b) powf(a, b)
#define __sinf(v) sinf(v)
#define __cosf(v) cosf(v)
