// SPDX-License-Identifier: Apache-2.0
#pragma once

#include "kernels/cpu/counts.h"
#include "kernels/cpu/vec.h"

/// Results that no cache will hold until the next kernel reads them are written past the caches, which saves to read
/// their lines first. With 32 MB of last-level cache (Zen 4) a chain of normalisations and activations gains a sixth
/// with arrays of 12 MB and loses a third with those of 6 MB.
namespace fovea::cpu {
namespace {

constexpr bool are_streamed(Index floats) { return floats > 2 * 1024 * 1024; }

[[maybe_unused]] bool is_aligned(const float* p) {
  return reinterpret_cast<std::uintptr_t>(p) % sizeof(Vec) == 0;
}

/// to[i …] = value(i, lanes) for i = 0, kLanes, … below n; `lanes` are kLanes but for the rest. What was streamed is
/// finished by finish_streams().
template <class F>
[[gnu::always_inline]] inline void write_run(float* to, Index n, bool streamed, const F& value) {
  Index i = 0;
  if (streamed && is_aligned(to))
    for (; i + Vec::kLanes <= n; i += Vec::kLanes) value(i, Vec::kLanes).stream(to + i);
  else
    for (; i + Vec::kLanes <= n; i += Vec::kLanes) value(i, Vec::kLanes).store(to + i);
  const int rest = static_cast<int>(n - i);
  if (rest > 0) value(i, rest).store_first(to + i, rest);
}

/// Calls f(first, count, y) for pieces that cover 0..n-1, where f writes y[0..count), the results from `first` on;
/// they are streamed from a copy in the nearest cache. What is not streamed is one piece.
template <class F>
void write_pieces(float* to, Index n, bool streamed, const F& f) {
  if (!streamed) return f(0, n, to);
  constexpr Index kPiece = 64;  // so short that memory reads and writes in turns: 256 take a fifth longer
  alignas(64) float piece[kPiece];
  for (Index i = 0; i < n; i += kPiece) {
    const Index count = least(kPiece, n - i);
    f(i, count, piece);
    write_run(to + i, count, true, [&piece](Index k, int lanes) { return load(piece + k, lanes); });
  }
  finish_streams();
}

}  // namespace
}  // namespace fovea::cpu
