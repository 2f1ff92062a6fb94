// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstdint>

#include "kernels/cpu/loops.h"
#include "kernels/philox.h"

/// Random numbers in bulk: the loop over Philox blocks is the vector loop, since its passes are independent.
/// Internal linkage: each instruction set has its own copy.
namespace fovea::cpu {
namespace {

constexpr int kBlocks = 16;  // per batch: one AVX-512 register of each word
constexpr int kBatch = 4 * kBlocks;

/// Words of the blocks first … first+15; word k of block i is word[k][i].
struct Words {
  std::uint32_t word[4][kBlocks];
};

Words random_words(const philox::Key& key, std::uint64_t first) {
  Words w;
  for (int i = 0; i < kBlocks; ++i) {
    const philox::Block start = philox::counter(key, key.step, first + static_cast<std::uint64_t>(i));
    for (int k = 0; k < 4; ++k) w.word[k][i] = start.word[k];
  }
  std::uint32_t key0 = static_cast<std::uint32_t>(key.seed),
                key1 = static_cast<std::uint32_t>(key.seed >> 32);
  for (int round = 0; round < philox::kRounds; ++round) {
    for (int i = 0; i < kBlocks; ++i) {
      const philox::Block block =
          philox::one_round({{w.word[0][i], w.word[1][i], w.word[2][i], w.word[3][i]}}, key0, key1);
      for (int k = 0; k < 4; ++k) w.word[k][i] = block.word[k];
    }
    key0 += philox::kKeyStep0;
    key1 += philox::kKeyStep1;
  }
  return w;
}

/// out[0..64) = uniforms or normals 64·batch … of the sequence.
struct Uniforms {
  static void fill(const philox::Key& key, std::uint64_t batch, float* out) {
    const Words w = random_words(key, batch * kBlocks);
    for (int k = 0; k < 4; k += 2)
      for (int i = 0; i < kBlocks; ++i) {
        out[4 * i + k] = philox::uniform(w.word[k][i]);
        out[4 * i + k + 1] = philox::uniform(w.word[k + 1][i]);
      }
  }
};
struct Normals {
  static void fill(const philox::Key& key, std::uint64_t batch, float* out) {
    const Words w = random_words(key, batch * kBlocks);
    for (int k = 0; k < 4; k += 2)
      for (int i = 0; i < kBlocks; ++i) {
        const philox::NormalPair pair = philox::normal_pair(w.word[k][i], w.word[k + 1][i]);
        out[4 * i + k] = pair.first;
        out[4 * i + k + 1] = pair.second;
      }
  }
};

/// Calls use(first, n, values) for batches of n ≤ 64 elements that cover 0..count-1. The numbers that follow
/// the last element are computed and dropped.
template <class Distribution, class F>
void for_random(Queue& queue, std::int64_t count, philox::Key key, F&& use) {
  if (key.device_step != nullptr) key.step = *key.device_step;  // read once, not once per block
  key.device_step = nullptr;
  for_ranges(queue, count, [&](std::int64_t first, std::int64_t last) {
    for (std::int64_t i = first; i < last; i += kBatch) {
      float values[kBatch];
      Distribution::fill(key, static_cast<std::uint64_t>(i / kBatch), values);
      use(i, least(kBatch, last - i), values);
    }
  });
}

}  // namespace
}  // namespace fovea::cpu
