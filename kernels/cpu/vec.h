// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstdint>

#if defined(__AVX2__)
#include <immintrin.h>
#endif

/// Float lanes of the instruction set this object is compiled for: 16 (AVX-512), 8 (AVX2) or 4 (plain loops
/// that any compiler can vectorise). Internal linkage: each instruction set has its own copy.
namespace fovea::cpu {
namespace {

#if defined(__AVX512F__)

struct Vec {
  static constexpr int kLanes = 16;
  static constexpr int kRegisters = 32;
  __m512 v;
  static Vec zero() { return {_mm512_setzero_ps()}; }
  static Vec all(float x) { return {_mm512_set1_ps(x)}; }
  static Vec load(const float* p) { return {_mm512_loadu_ps(p)}; }
  void store(float* p) const { _mm512_storeu_ps(p, v); }
  /// Past the caches, to an address aligned to the vector; others see it after finish_streams().
  void stream(float* p) const { _mm512_stream_ps(p, v); }
  /// The first `count` lanes; the others are zero (load) or left as they are (store). 0 ≤ count ≤ kLanes.
  static Vec load_first(const float* p, int count) { return {_mm512_maskz_loadu_ps(mask(count), p)}; }
  void store_first(float* p, int count) const { _mm512_mask_storeu_ps(p, mask(count), v); }
  friend Vec operator+(Vec a, Vec b) { return {_mm512_add_ps(a.v, b.v)}; }
  friend Vec operator-(Vec a, Vec b) { return {_mm512_sub_ps(a.v, b.v)}; }
  friend Vec operator*(Vec a, Vec b) { return {_mm512_mul_ps(a.v, b.v)}; }
  friend Vec fma(Vec a, Vec b, Vec c) { return {_mm512_fmadd_ps(a.v, b.v, c.v)}; }    // a·b + c
  friend Vec fms(Vec a, Vec b, Vec c) { return {_mm512_fmsub_ps(a.v, b.v, c.v)}; }    // a·b - c
  friend Vec fnma(Vec a, Vec b, Vec c) { return {_mm512_fnmadd_ps(a.v, b.v, c.v)}; }  // c - a·b
  friend Vec operator/(Vec a, Vec b) { return {_mm512_div_ps(a.v, b.v)}; }
  /// The second operand where either is NaN.
  friend Vec max(Vec a, Vec b) { return {_mm512_maskz_max_ps(kEvery, a.v, b.v)}; }
  friend Vec sqrt(Vec a) { return {_mm512_maskz_sqrt_ps(kEvery, a.v)}; }

 private:
  // The plain intrinsics of these two read an undefined register as far as GCC 12's warnings can tell; the
  // masked ones compile to the same instruction.
  static constexpr __mmask16 kEvery = 0xffff;
  static __mmask16 mask(int count) { return static_cast<__mmask16>((1u << count) - 1u); }
};

#elif defined(__AVX2__)

struct Vec {
  static constexpr int kLanes = 8;
  static constexpr int kRegisters = 16;
  __m256 v;
  static Vec zero() { return {_mm256_setzero_ps()}; }
  static Vec all(float x) { return {_mm256_set1_ps(x)}; }
  static Vec load(const float* p) { return {_mm256_loadu_ps(p)}; }
  void store(float* p) const { _mm256_storeu_ps(p, v); }
  void stream(float* p) const { _mm256_stream_ps(p, v); }
  static Vec load_first(const float* p, int count) { return {_mm256_maskload_ps(p, mask(count))}; }
  void store_first(float* p, int count) const { _mm256_maskstore_ps(p, mask(count), v); }
  friend Vec operator+(Vec a, Vec b) { return {_mm256_add_ps(a.v, b.v)}; }
  friend Vec operator-(Vec a, Vec b) { return {_mm256_sub_ps(a.v, b.v)}; }
  friend Vec operator*(Vec a, Vec b) { return {_mm256_mul_ps(a.v, b.v)}; }
  friend Vec fma(Vec a, Vec b, Vec c) { return {_mm256_fmadd_ps(a.v, b.v, c.v)}; }
  friend Vec fms(Vec a, Vec b, Vec c) { return {_mm256_fmsub_ps(a.v, b.v, c.v)}; }
  friend Vec fnma(Vec a, Vec b, Vec c) { return {_mm256_fnmadd_ps(a.v, b.v, c.v)}; }
  friend Vec operator/(Vec a, Vec b) { return {_mm256_div_ps(a.v, b.v)}; }
  friend Vec max(Vec a, Vec b) { return {_mm256_max_ps(a.v, b.v)}; }
  friend Vec sqrt(Vec a) { return {_mm256_sqrt_ps(a.v)}; }

 private:
  static __m256i mask(int count) {
    return _mm256_cmpgt_epi32(_mm256_set1_epi32(count), _mm256_setr_epi32(0, 1, 2, 3, 4, 5, 6, 7));
  }
};

#else

struct Vec {
  static constexpr int kLanes = 4;
  static constexpr int kRegisters = 16;
  using Lanes [[gnu::vector_size(16)]] = float;  // GCC and Clang map it to what the target has
  Lanes v;
  static Vec zero() { return all(0.0f); }
  static Vec all(float x) { return {Lanes{x, x, x, x}}; }
  static Vec load(const float* p) {
    Vec r;
    __builtin_memcpy(&r.v, p, sizeof r.v);
    return r;
  }
  void store(float* p) const { __builtin_memcpy(p, &v, sizeof v); }
  void stream(float* p) const { store(p); }
  static Vec load_first(const float* p, int count) {
    Vec r = zero();
    for (int i = 0; i < count; ++i) r.v[i] = p[i];
    return r;
  }
  void store_first(float* p, int count) const {
    for (int i = 0; i < count; ++i) p[i] = v[i];
  }
  friend Vec operator+(Vec a, Vec b) { return {a.v + b.v}; }
  friend Vec operator-(Vec a, Vec b) { return {a.v - b.v}; }
  friend Vec operator*(Vec a, Vec b) { return {a.v * b.v}; }
  friend Vec operator/(Vec a, Vec b) { return {a.v / b.v}; }
  friend Vec fma(Vec a, Vec b, Vec c) {
    return {a.v * b.v + c.v};
  }  // baseline x86-64 has no fused instruction
  friend Vec fms(Vec a, Vec b, Vec c) { return {a.v * b.v - c.v}; }
  friend Vec fnma(Vec a, Vec b, Vec c) { return {c.v - a.v * b.v}; }
  friend Vec max(Vec a, Vec b) { return {a.v > b.v ? a.v : b.v}; }
  friend Vec sqrt(Vec a) {
    for (int i = 0; i < kLanes; ++i) a.v[i] = __builtin_sqrtf(a.v[i]);
    return a;
  }
};

#endif

/// Other threads see what was streamed before.
[[maybe_unused]] void finish_streams() {
#if defined(__AVX2__)
  _mm_sfence();
#endif
}

/// Sum of the lanes in a fixed tree.
[[maybe_unused]] float sum(Vec x) {
  float lane[Vec::kLanes];
  x.store(lane);
  for (int step = Vec::kLanes / 2; step > 0; step /= 2)
    for (int i = 0; i < step; ++i) lane[i] += lane[i + step];
  return lane[0];
}

/// All lanes, or the first few at the end of an array: masked accesses are slow on some machines, so they are
/// kept for where they are needed.
[[maybe_unused]] Vec load(const float* p, int lanes) {
  return lanes == Vec::kLanes ? Vec::load(p) : Vec::load_first(p, lanes);
}
[[maybe_unused]] void store(float* p, int lanes, Vec v) {
  if (lanes == Vec::kLanes)
    v.store(p);
  else
    v.store_first(p, lanes);
}

}  // namespace
}  // namespace fovea::cpu
