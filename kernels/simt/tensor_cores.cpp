// SPDX-License-Identifier: Apache-2.0
#include "kernels/simt/tensor_cores.h"

#include <cmath>
#include <cstring>

namespace fovea::simt {
namespace {

float from_tf32(std::uint32_t bits) { return std::bit_cast<float>(bits & ~0x1fffu); }
float from_bf16(std::uint32_t bits) { return std::bit_cast<float>(bits << 16); }
float from_f16(std::uint32_t bits) {
  const std::uint32_t sign = (bits & 0x8000u) << 16, exponent = bits >> 10 & 31u, fraction = bits & 0x3ffu;
  if (exponent == 31) return std::bit_cast<float>(sign | 0x7f800000u | fraction << 13);
  if (exponent != 0) return std::bit_cast<float>(sign | (exponent + 112u) << 23 | fraction << 13);
  return std::copysign(std::ldexp(static_cast<float>(fraction), -24), std::bit_cast<float>(sign));
}

template <MmaType kType>
float half(std::uint32_t two, unsigned which) {
  const std::uint32_t bits = two >> (16 * which) & 0xffffu;
  return kType == MmaType::bf16 ? from_bf16(bits) : from_f16(bits);
}

}  // namespace

template <MmaType kType>
void multiply_fragments(void* const* lanes) {
  constexpr unsigned kDepth = kType == MmaType::tf32 ? 8 : 16;
  float a[16][kDepth], b[kDepth][8];
  for (unsigned lane = 0; lane < 32; ++lane) {
    const auto& mine = *static_cast<const MmaLane*>(lanes[lane]);
    const unsigned g = lane / 4, t = lane % 4;
    if constexpr (kType == MmaType::tf32) {
      for (unsigned i = 0; i < 4; ++i) a[g + 8 * (i % 2)][t + 4 * (i / 2)] = from_tf32(mine.a[i]);
      for (unsigned i = 0; i < 2; ++i) b[t + 4 * i][g] = from_tf32(mine.b[i]);
    } else {
      for (unsigned h = 0; h < 2; ++h) {
        for (unsigned i = 0; i < 4; ++i)
          a[g + 8 * (i % 2)][2 * t + 8 * (i / 2) + h] = half<kType>(mine.a[i], h);
        for (unsigned i = 0; i < 2; ++i) b[2 * t + 8 * i + h][g] = half<kType>(mine.b[i], h);
      }
    }
  }
  for (unsigned lane = 0; lane < 32; ++lane) {
    auto& mine = *static_cast<MmaLane*>(lanes[lane]);
    for (unsigned i = 0; i < 4; ++i) {
      const unsigned row = lane / 4 + 8 * (i / 2), column = 2 * (lane % 4) + i % 2;
      for (unsigned k = 0; k < kDepth; ++k) mine.d[i] += a[row][k] * b[k][column];
    }
  }
}
template void multiply_fragments<MmaType::tf32>(void* const*);
template void multiply_fragments<MmaType::bf16>(void* const*);
template void multiply_fragments<MmaType::f16>(void* const*);

template <bool kTranspose>
void deal_matrices(void* const* lanes) {
  const auto element = [&](unsigned matrix, unsigned row, unsigned column) {
    std::uint16_t value;
    const auto& holder = *static_cast<const MatrixLane*>(lanes[8 * matrix + row]);
    std::memcpy(&value, holder.row.byte + 2 * column, sizeof value);
    return std::uint32_t{value};
  };
  for (unsigned lane = 0; lane < 32; ++lane) {
    auto& mine = *static_cast<MatrixLane*>(lanes[lane]);
    const unsigned g = lane / 4, t = lane % 4;
    for (unsigned m = 0; m < 4; ++m)
      mine.element[m] = kTranspose ? element(m, 2 * t, g) | element(m, 2 * t + 1, g) << 16
                                   : element(m, g, 2 * t) | element(m, g, 2 * t + 1) << 16;
  }
}
template void deal_matrices<false>(void* const*);
template void deal_matrices<true>(void* const*);

}  // namespace fovea::simt
