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
  /// The first `count` lanes; the others are zero (load) or left as they are (store). 0 ≤ count ≤ kLanes.
  static Vec load_first(const float* p, int count) { return {_mm512_maskz_loadu_ps(mask(count), p)}; }
  void store_first(float* p, int count) const { _mm512_mask_storeu_ps(p, mask(count), v); }
  friend Vec operator+(Vec a, Vec b) { return {_mm512_add_ps(a.v, b.v)}; }
  friend Vec operator-(Vec a, Vec b) { return {_mm512_sub_ps(a.v, b.v)}; }
  friend Vec operator*(Vec a, Vec b) { return {_mm512_mul_ps(a.v, b.v)}; }
  friend Vec fma(Vec a, Vec b, Vec c) { return {_mm512_fmadd_ps(a.v, b.v, c.v)}; }  // a·b + c
  friend Vec max(Vec a, Vec b) { return {_mm512_max_ps(a.v, b.v)}; }

 private:
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
  static Vec load_first(const float* p, int count) { return {_mm256_maskload_ps(p, mask(count))}; }
  void store_first(float* p, int count) const { _mm256_maskstore_ps(p, mask(count), v); }
  friend Vec operator+(Vec a, Vec b) { return {_mm256_add_ps(a.v, b.v)}; }
  friend Vec operator-(Vec a, Vec b) { return {_mm256_sub_ps(a.v, b.v)}; }
  friend Vec operator*(Vec a, Vec b) { return {_mm256_mul_ps(a.v, b.v)}; }
  friend Vec fma(Vec a, Vec b, Vec c) { return {_mm256_fmadd_ps(a.v, b.v, c.v)}; }
  friend Vec max(Vec a, Vec b) { return {_mm256_max_ps(a.v, b.v)}; }

 private:
  static __m256i mask(int count) {
    return _mm256_cmpgt_epi32(_mm256_set1_epi32(count), _mm256_setr_epi32(0, 1, 2, 3, 4, 5, 6, 7));
  }
};

#else

struct Vec {
  static constexpr int kLanes = 4;
  static constexpr int kRegisters = 16;
  float v[kLanes];
  static Vec zero() { return {}; }
  static Vec all(float x) { return {{x, x, x, x}}; }
  static Vec load(const float* p) { return {{p[0], p[1], p[2], p[3]}}; }
  void store(float* p) const { store_first(p, kLanes); }
  static Vec load_first(const float* p, int count) {
    Vec r{};
    for (int i = 0; i < count; ++i) r.v[i] = p[i];
    return r;
  }
  void store_first(float* p, int count) const {
    for (int i = 0; i < count; ++i) p[i] = v[i];
  }
  friend Vec operator+(Vec a, Vec b) {
    return each(a, b, [](float x, float y) { return x + y; });
  }
  friend Vec operator-(Vec a, Vec b) {
    return each(a, b, [](float x, float y) { return x - y; });
  }
  friend Vec operator*(Vec a, Vec b) {
    return each(a, b, [](float x, float y) { return x * y; });
  }
  friend Vec fma(Vec a, Vec b, Vec c) { return a * b + c; }  // baseline x86-64 has no fused instruction
  friend Vec max(Vec a, Vec b) {
    return each(a, b, [](float x, float y) { return x > y ? x : y; });
  }

 private:
  template <class F>
  static Vec each(Vec a, Vec b, F f) {
    Vec r{};
    for (int i = 0; i < kLanes; ++i) r.v[i] = f(a.v[i], b.v[i]);
    return r;
  }
};

#endif

/// Sum of the lanes in a fixed tree.
[[maybe_unused]] float sum(Vec x) {
  float lane[Vec::kLanes];
  x.store(lane);
  for (int step = Vec::kLanes / 2; step > 0; step /= 2)
    for (int i = 0; i < step; ++i) lane[i] += lane[i + step];
  return lane[0];
}

}  // namespace
}  // namespace fovea::cpu
