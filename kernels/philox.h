// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cmath>
#include <cstdint>

#include "kernels/host_device.h"

/// Counter-based random numbers: the same values on cpu, simt and cuda.
///
/// A number is a pure function of (seed, stream, step, element index); no generator state, no launch shape
/// and no thread index enters. Everything below uses IEEE add, multiply, sqrt and explicit fma only, and the
/// project is compiled without contraction, so the float results have equal bits on every device.
///
/// source  Salmon, Moraes, Dror, Shaw 2011, "Parallel random numbers: as easy as 1, 2, 3" (Philox4x32-10);
///         Box and Muller 1958 (normals)
namespace fovea::philox {

struct Block {
  std::uint32_t word[4];
};

/// Names one sequence of random numbers.
///
/// seed    of the run
/// stream  which consumer: `stream_id("conv1.noise")`
/// step    training step, or any other index that makes the draws fresh
/// device_step  if not null, the step is read from there when the kernel runs; a captured CUDA graph replays
///         with a new step this way
struct Key {
  std::uint64_t seed = 0;
  std::uint32_t stream = 0;
  std::uint32_t step = 0;
  const std::uint32_t* device_step = nullptr;
};

/// FNV-1a hash of a stream name.
constexpr std::uint32_t stream_id(const char* name) {
  std::uint32_t hash = 2166136261u;
  for (; *name != '\0'; ++name) hash = (hash ^ static_cast<unsigned char>(*name)) * 16777619u;
  return hash;
}

inline constexpr std::uint32_t kFactor0 = 0xD2511F53u, kFactor1 = 0xCD9E8D57u;

/// One round of Philox4x32.
FOVEA_HOST_DEVICE Block one_round(const Block& counter, std::uint32_t key0, std::uint32_t key1) {
  const std::uint64_t left = std::uint64_t{kFactor0} * counter.word[0];
  const std::uint64_t right = std::uint64_t{kFactor1} * counter.word[2];
  return Block{
      {static_cast<std::uint32_t>(right >> 32) ^ counter.word[1] ^ key0, static_cast<std::uint32_t>(right),
       static_cast<std::uint32_t>(left >> 32) ^ counter.word[3] ^ key1, static_cast<std::uint32_t>(left)}};
}

inline constexpr int kRounds = 10;
inline constexpr std::uint32_t kKeyStep0 = 0x9E3779B9u, kKeyStep1 = 0xBB67AE85u;

/// Ten rounds of Philox4x32 on one counter.
FOVEA_HOST_DEVICE Block rounds(Block counter, std::uint32_t key0, std::uint32_t key1) {
  for (int round = 0; round < kRounds; ++round) {
    counter = one_round(counter, key0, key1);
    key0 += kKeyStep0;
    key1 += kKeyStep1;
  }
  return counter;
}

/// The counter of elements 4·block … 4·block+3.
FOVEA_HOST_DEVICE Block counter(const Key& key, std::uint32_t step, std::uint64_t block) {
  return Block{
      {static_cast<std::uint32_t>(block), step, key.stream, static_cast<std::uint32_t>(block >> 32)}};
}

/// The four words that serve elements 4·block … 4·block+3.
FOVEA_HOST_DEVICE Block bits(const Key& key, std::uint64_t block) {
  const std::uint32_t step = key.device_step != nullptr ? *key.device_step : key.step;
  return rounds(counter(key, step, block), static_cast<std::uint32_t>(key.seed),
                static_cast<std::uint32_t>(key.seed >> 32));
}

/// Uniform in [0, 1), a multiple of 2^-24.
FOVEA_HOST_DEVICE float uniform(std::uint32_t word) {
  return static_cast<float>(static_cast<std::int32_t>(word >> 8)) * 0x1p-24f;  // signed: AVX2 converts those
}

/// Natural logarithm for x in (0, 1], relative error below 2e-7; polynomial after an exact split x = m·2^e
/// with m in [sqrt(1/2), sqrt(2)), evaluated as 2·atanh((m−1)/(m+1)).
FOVEA_HOST_DEVICE float log_unit(float x) {
  std::uint32_t pattern;
  __builtin_memcpy(&pattern, &x, sizeof pattern);
  const std::int32_t exponent = static_cast<std::int32_t>(pattern - 0x3F3504F3u) >> 23;
  const std::uint32_t mantissa = pattern - (static_cast<std::uint32_t>(exponent) << 23);
  float m;
  __builtin_memcpy(&m, &mantissa, sizeof m);
  const float s = (m - 1.0f) / (m + 1.0f);
  const float z = s * s;
  float p = 0.22222222f;  // 2/9, 2/7, 2/5, 2/3: the series of 2·atanh(s)/s
  p = fmaf(p, z, 0.28571429f);
  p = fmaf(p, z, 0.4f);
  p = fmaf(p, z, 0.66666667f);
  const float e = static_cast<float>(exponent);
  const float tail = fmaf(s * z, p, e * 1.42860677e-6f);  // ln 2 in two parts: e·high is exact
  return fmaf(e, 0.693145752f, fmaf(2.0f, s, tail));
}

struct SinCos {
  float sin, cos;
};

/// sin and cos of 2πu for u in [0, 1): quadrant by rounding, then Taylor polynomials on [−π/4, π/4].
FOVEA_HOST_DEVICE SinCos sincos_turn(float u) {
  const std::int32_t quadrant = static_cast<std::int32_t>(fmaf(4.0f, u, 0.5f));
  const float t = fmaf(static_cast<float>(quadrant), -0.25f, u) * 6.28318531f;
  const float z = t * t;
  float s = 2.75573192e-6f;
  s = fmaf(s, z, -1.98412698e-4f);
  s = fmaf(s, z, 8.33333333e-3f);
  s = fmaf(s, z, -1.66666667e-1f);
  s = fmaf(s * z, t, t);
  float c = 2.48015873e-5f;
  c = fmaf(c, z, -1.38888889e-3f);
  c = fmaf(c, z, 4.16666667e-2f);
  c = fmaf(c, z, -0.5f);
  c = fmaf(c, z, 1.0f);
  const bool swap = (quadrant & 1) != 0;
  const float a = swap ? c : s;
  const float b = swap ? s : c;
  return {(quadrant & 2) != 0 ? -a : a, ((quadrant + 1) & 2) != 0 ? -b : b};
}

struct NormalPair {
  float first, second;
};

/// Two independent standard normals from two words (Box–Muller). |value| < 5.8.
FOVEA_HOST_DEVICE NormalPair normal_pair(std::uint32_t word0, std::uint32_t word1) {
  const float u = 1.0f - uniform(word0);  // (0, 1]: its logarithm is finite
  const float radius = sqrtf(-2.0f * log_unit(u));
  const SinCos turn = sincos_turn(uniform(word1));
  return {radius * turn.cos, radius * turn.sin};
}

struct Normals {
  float value[4];
};

/// Four independent standard normals from one block.
FOVEA_HOST_DEVICE Normals normals(const Block& block) {
  const NormalPair a = normal_pair(block.word[0], block.word[1]);
  const NormalPair b = normal_pair(block.word[2], block.word[3]);
  return {{a.first, a.second, b.first, b.second}};
}

/// One element of the sequence; for bulk work take a whole block at a time.
FOVEA_HOST_DEVICE float uniform_at(const Key& key, std::uint64_t index) {
  return uniform(bits(key, index / 4).word[index % 4]);
}
FOVEA_HOST_DEVICE float normal_at(const Key& key, std::uint64_t index) {
  return normals(bits(key, index / 4)).value[index % 4];
}

}  // namespace fovea::philox
