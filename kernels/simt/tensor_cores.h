// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <bit>
#include <cstdint>

#include "kernels/dtype.h"
#include "kernels/simt/chunk.h"
#include "kernels/simt/thread.h"

/// kernels/cuda/mma.cuh for the host compiler; included by it only.
namespace fovea::simt {

/// What a lane brings to an mma, and what it takes away.
struct MmaLane {
  std::uint32_t a[4], b[2];
  float d[4];
};
enum class MmaType { tf32, bf16, f16 };
/// Work for warp_together: lanes point to MmaLane.
template <MmaType kType>
void multiply_fragments(void* const* lanes);

/// What a lane brings to load_matrices, its row, and what it takes away.
struct MatrixLane {
  Chunk<16> row;
  std::uint32_t element[4];
};
/// Work for warp_together: lanes point to MatrixLane. Deals out four matrices, of which the caller takes N.
template <bool kTranspose>
void deal_matrices(void* const* lanes);

template <MmaType kType>
void multiply(float (&d)[4], const unsigned (&a)[4], const unsigned (&b)[2], Place place) {
  MmaLane mine{{a[0], a[1], a[2], a[3]}, {b[0], b[1]}, {d[0], d[1], d[2], d[3]}};
  warp_together(multiply_fragments<kType>, &mine, place);
  for (int i = 0; i < 4; ++i) d[i] = mine.d[i];
}

}  // namespace fovea::simt

#define FOVEA_SITE const char *file = __builtin_FILE(), unsigned line = __builtin_LINE()

namespace fovea::gpu {

inline void mma_tf32(float (&d)[4], const unsigned (&a)[4], const unsigned (&b)[2], FOVEA_SITE) {
  simt::multiply<simt::MmaType::tf32>(d, a, b, {"mma_tf32", file, line});
}
inline void mma_bf16(float (&d)[4], const unsigned (&a)[4], const unsigned (&b)[2], FOVEA_SITE) {
  simt::multiply<simt::MmaType::bf16>(d, a, b, {"mma_bf16", file, line});
}
inline void mma_f16(float (&d)[4], const unsigned (&a)[4], const unsigned (&b)[2], FOVEA_SITE) {
  simt::multiply<simt::MmaType::f16>(d, a, b, {"mma_f16", file, line});
}

inline unsigned to_tf32(float x) {
  const auto bits = std::bit_cast<std::uint32_t>(x);
  if ((bits & 0x7f800000u) == 0x7f800000u) return bits;  // infinities and NaN stay
  return (bits + 0x1000u) & ~0x1fffu;                    // a tie grows in magnitude, into infinity if need be
}

inline unsigned to_bf16_pair(float low, float high) {
  return std::uint32_t{to_bf16(low).bits} | std::uint32_t{to_bf16(high).bits} << 16;
}

template <int N, bool kTranspose = false>
void load_matrices(unsigned (&r)[N], const void* row, FOVEA_SITE) {
  static_assert(N == 1 || N == 2 || N == 4);
  const simt::Place place{"load_matrices", file, line};
  simt::MatrixLane mine{};
  if (simt::lane_index() < 8 * N) {
    simt::require_shared(row, 16, 16, place);
    mine.row =
        *static_cast<const simt::Chunk<16>*>(row);  // as early as may be: lanes are not ordered by this
  }
  simt::warp_together(simt::deal_matrices<kTranspose>, &mine, place);
  for (int i = 0; i < N; ++i) r[i] = mine.element[i];
}

}  // namespace fovea::gpu

#undef FOVEA_SITE
