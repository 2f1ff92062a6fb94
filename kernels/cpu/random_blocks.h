// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstdint>

#include "kernels/cpu/loops.h"
#include "kernels/cpu/vec_philox.h"

/// Random numbers in bulk: the loop over Philox blocks is the vector loop, since its passes are independent.
/// Internal linkage: each instruction set has its own copy.
namespace fovea::cpu {
namespace {

/// out[0..kBatch) = uniforms or normals kBatch·batch … of the sequence.
struct Uniforms {
  static void fill(const Sequence& sequence, std::uint64_t batch, float* out) {
    const Words w = random_words(sequence, batch * kBlocks);
    float u[4][kBlocks];
    for (int k = 0; k < 4; ++k)
      for (int i = 0; i < kBlocks; ++i) u[k][i] = philox::uniform(w.word[k][i]);
    store_blocks(u, out);
  }
};
struct Normals {
  static void fill(const Sequence& sequence, std::uint64_t batch, float* out) {
    const Words w = random_words(sequence, batch * kBlocks);
    float z[4][kBlocks];
    for (int k = 0; k < 4; k += 2)
      for (int i = 0; i < kBlocks; ++i) {
        const philox::NormalPair pair = philox::normal_pair(w.word[k][i], w.word[k + 1][i]);
        z[k][i] = pair.first;
        z[k + 1][i] = pair.second;
      }
    store_blocks(z, out);
  }
};

/// Calls use(first, n, values) for batches of n ≤ kBatch elements that cover 0..count-1. The numbers that follow
/// the last element are computed and dropped.
template <class Distribution, class F>
void for_random(Queue& queue, std::int64_t count, const philox::Key& key, F&& use) {
  const Sequence sequence(key);
  for_ranges(queue, count, [&](std::int64_t first, std::int64_t last) {
    float values[kBatch];
    std::int64_t i = first;
    for (; i + kBatch <= last; i += kBatch) {
      Distribution::fill(sequence, static_cast<std::uint64_t>(i / kBatch), values);
      use(i, kBatch, values);  // whole vectors: the constant lets the compiler see it
    }
    if (i == last) return;
    Distribution::fill(sequence, static_cast<std::uint64_t>(i / kBatch), values);
    use(i, last - i, values);
  });
}

}  // namespace
}  // namespace fovea::cpu
