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

inline Words random_words(const philox::Key& key, std::uint64_t first) {
  Words out;
  for (int i = 0; i < kBlocks; ++i) {
    const philox::Block block = philox::bits(key, first + static_cast<std::uint64_t>(i));
    for (int k = 0; k < 4; ++k) out.word[k][i] = block.word[k];
  }
  return out;
}

/// out[0..64) = uniforms or normals 64·batch … of the sequence.
struct Uniforms {
  static void fill(const philox::Key& key, std::uint64_t batch, float* out) {
    const Words words = random_words(key, batch * kBlocks);
    for (int i = 0; i < kBlocks; ++i)
      for (int k = 0; k < 4; ++k) out[4 * i + k] = philox::uniform(words.word[k][i]);
  }
};
struct Normals {
  static void fill(const philox::Key& key, std::uint64_t batch, float* out) {
    const Words words = random_words(key, batch * kBlocks);
    for (int i = 0; i < kBlocks; ++i) {
      const philox::Normals n = philox::normals(
          philox::Block{{words.word[0][i], words.word[1][i], words.word[2][i], words.word[3][i]}});
      for (int k = 0; k < 4; ++k) out[4 * i + k] = n.value[k];
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
