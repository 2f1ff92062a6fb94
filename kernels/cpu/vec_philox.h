// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstdint>

#include "kernels/cpu/vec.h"
#include "kernels/philox.h"

/// Philox blocks side by side. Internal linkage: each instruction set has its own copy.
namespace fovea::cpu {
namespace {

constexpr int kBlocks = Vec::kLanes;  // of a batch: one register of each word
constexpr int kBatch = 4 * kBlocks;   // numbers

/// Word k of kBlocks consecutive blocks is word[k]; block_of() says which block a lane holds.
struct Words {
  std::uint32_t word[4][kBlocks];
};

/// A sequence of random numbers, and the keys of its rounds.
struct Sequence {
  explicit Sequence(const philox::Key& of) : key(of) {
    if (key.device_step != nullptr) key.step = *key.device_step;  // read once, not once per block
    key.device_step = nullptr;
    std::uint32_t even = static_cast<std::uint32_t>(key.seed),
                  odd = static_cast<std::uint32_t>(key.seed >> 32);
    for (int round = 0; round < philox::kRounds; ++round) {
      round_keys[round][0] = even;
      round_keys[round][1] = odd;
      even += philox::kKeyStep0;
      odd += philox::kKeyStep1;
    }
  }
  philox::Key key;
  std::uint64_t round_keys[philox::kRounds][2];
};

#if defined(__AVX2__)

/// Unsigned 64-bit lanes: half as many as floats.
struct Longs {
#if defined(__AVX512F__)
  __m512i v;
  static Longs all(std::uint64_t x) { return {_mm512_set1_epi64(static_cast<long long>(x))}; }
  static Longs numbers() { return {_mm512_setr_epi64(0, 1, 2, 3, 4, 5, 6, 7)}; }
  /// Products of the lower 32 bits.
  friend Longs operator*(Longs a, Longs b) { return {_mm512_maskz_mul_epu32(kEvery, a.v, b.v)}; }
  friend Longs operator+(Longs a, Longs b) { return {_mm512_add_epi64(a.v, b.v)}; }
  Longs upper() const { return {_mm512_maskz_srli_epi64(kEvery, v, 32)}; }
  friend Longs exclusive_or(Longs a, Longs b, Longs c) {
    return {_mm512_ternarylogic_epi64(a.v, b.v, c.v, 0x96)};
  }
  /// The lower halves of a and b in turn: a0 b0 a1 b1 …
  friend void store_lower_halves(Longs a, Longs b, std::uint32_t* to) {
    _mm512_storeu_si512(to, _mm512_mask_shuffle_epi32(a.v, 0xaaaa, b.v, _MM_PERM_CCAA));
  }

 private:
  static constexpr __mmask8 kEvery = 0xff;  // see vec.h
#else
  __m256i v;
  static Longs all(std::uint64_t x) { return {_mm256_set1_epi64x(static_cast<long long>(x))}; }
  static Longs numbers() { return {_mm256_setr_epi64x(0, 1, 2, 3)}; }
  friend Longs operator*(Longs a, Longs b) { return {_mm256_mul_epu32(a.v, b.v)}; }
  friend Longs operator+(Longs a, Longs b) { return {_mm256_add_epi64(a.v, b.v)}; }
  Longs upper() const { return {_mm256_srli_epi64(v, 32)}; }
  friend Longs exclusive_or(Longs a, Longs b, Longs c) {
    return {_mm256_xor_si256(_mm256_xor_si256(a.v, b.v), c.v)};
  }
  friend void store_lower_halves(Longs a, Longs b, std::uint32_t* to) {
    _mm256_storeu_si256(reinterpret_cast<__m256i*>(to),
                        _mm256_blend_epi32(a.v, _mm256_slli_epi64(b.v, 32), 0xaa));
  }
#endif
};

/// A block in each 64-bit lane: a product of two words has room there, and what a word has above its 32 bits
/// is never read.
struct LaneBlocks {
  Longs word[4];
  LaneBlocks(const philox::Key& key, std::uint64_t first) {
    word[0] = Longs::all(first) + Longs::numbers();
    word[1] = Longs::all(key.step);
    word[2] = Longs::all(key.stream);
    word[3] = word[0].upper();
  }
  /// philox::one_round.
  void round(const std::uint64_t (&keys)[2]) {
    const Longs left = word[0] * Longs::all(philox::kFactor0), right = word[2] * Longs::all(philox::kFactor1);
    word[0] = exclusive_or(right.upper(), word[1], Longs::all(keys[0]));
    word[1] = right;
    word[2] = exclusive_or(left.upper(), word[3], Longs::all(keys[1]));
    word[3] = left;
  }
};

/// Even lanes hold the first half of the blocks, odd lanes the second.
[[maybe_unused]] Words random_words(const Sequence& sequence, std::uint64_t first) {
  LaneBlocks even(sequence.key, first), odd(sequence.key, first + kBlocks / 2);
#pragma GCC unroll 10
  for (int round = 0; round < philox::kRounds; ++round) {
    even.round(sequence.round_keys[round]);
    odd.round(sequence.round_keys[round]);
  }
  Words w;
  for (int k = 0; k < 4; ++k) store_lower_halves(even.word[k], odd.word[k], w.word[k]);
  return w;
}

/// out[4·block + k] = of[k][lane of block].
[[maybe_unused]] void store_blocks(const float (&of)[4][kBlocks], float* out) {
  // Within 128 bits a transpose of 4 x 4 gives whole blocks b, b + half, b + 1, b + 1 + half; b = 2·quarter.
#if defined(__AVX512F__)
  __m512 x[4], pair[4];
  for (int k = 0; k < 4; ++k) x[k] = _mm512_loadu_ps(of[k]);
  constexpr __mmask16 kEvery = 0xffff;
  for (int k = 0; k < 4; k += 2) {
    pair[k] = _mm512_maskz_unpacklo_ps(kEvery, x[k], x[k + 1]);
    pair[k + 1] = _mm512_maskz_unpackhi_ps(kEvery, x[k], x[k + 1]);
  }
  const __m512i lower = _mm512_setr_epi64(0, 1, 8, 9, 2, 3, 10, 11),
                upper = _mm512_setr_epi64(4, 5, 12, 13, 6, 7, 14, 15);
  constexpr __mmask8 kAll = 0xff;
  const auto store_half = [&](int at, __m512d block, __m512d next) {
    _mm512_storeu_pd(out + at, _mm512_permutex2var_pd(block, lower, next));
    _mm512_storeu_pd(out + at + 16, _mm512_permutex2var_pd(block, upper, next));
  };
  const __m512d a = _mm512_castps_pd(pair[0]), b = _mm512_castps_pd(pair[1]), c = _mm512_castps_pd(pair[2]),
                d = _mm512_castps_pd(pair[3]);
  store_half(0, _mm512_maskz_unpacklo_pd(kAll, a, c), _mm512_maskz_unpacklo_pd(kAll, b, d));
  store_half(32, _mm512_maskz_unpackhi_pd(kAll, a, c), _mm512_maskz_unpackhi_pd(kAll, b, d));
#else
  __m256 x[4];
  for (int k = 0; k < 4; ++k) x[k] = _mm256_loadu_ps(of[k]);
  const auto pair = [](__m256 p, __m256 q, bool high) {
    return _mm256_castps_pd(high ? _mm256_unpackhi_ps(p, q) : _mm256_unpacklo_ps(p, q));
  };
  const __m256d a = pair(x[0], x[1], false), b = pair(x[0], x[1], true), c = pair(x[2], x[3], false),
                d = pair(x[2], x[3], true);
  const auto store_half = [&](int at, __m256d block, __m256d next) {
    _mm256_storeu_ps(out + at, _mm256_castpd_ps(_mm256_permute2f128_pd(block, next, 0x20)));
    _mm256_storeu_ps(out + at + 8, _mm256_castpd_ps(_mm256_permute2f128_pd(block, next, 0x31)));
  };
  store_half(0, _mm256_unpacklo_pd(a, c), _mm256_unpacklo_pd(b, d));
  store_half(16, _mm256_unpackhi_pd(a, c), _mm256_unpackhi_pd(b, d));
#endif
}

#else

/// Lane i holds block i.
[[maybe_unused]] Words random_words(const Sequence& sequence, std::uint64_t first) {
  Words w;
  for (int i = 0; i < kBlocks; ++i) {
    const philox::Block block = philox::bits(sequence.key, first + static_cast<std::uint64_t>(i));
    for (int k = 0; k < 4; ++k) w.word[k][i] = block.word[k];
  }
  return w;
}
[[maybe_unused]] void store_blocks(const float (&of)[4][kBlocks], float* out) {
  for (int i = 0; i < kBlocks; ++i)
    for (int k = 0; k < 4; ++k) out[4 * i + k] = of[k][i];
}

#endif

}  // namespace
}  // namespace fovea::cpu
