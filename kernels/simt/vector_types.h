// SPDX-License-Identifier: Apache-2.0
#pragma once

/// CUDA's vector types for the host compiler, with CUDA's sizes and alignments. Included by simt.h only.
/// A translation unit must not include this and the CUDA toolkit's headers.

#define FOVEA_VECTOR_TYPES(scalar, name, align2, align4)                               \
  struct name##1 {                                                                     \
    scalar x;                                                                          \
  };                                                                                   \
  struct alignas(align2) name##2 {                                                     \
    scalar x, y;                                                                       \
  };                                                                                   \
  struct name##3 {                                                                     \
    scalar x, y, z;                                                                    \
  };                                                                                   \
  struct alignas(align4) name##4 {                                                     \
    scalar x, y, z, w;                                                                 \
  };                                                                                   \
  constexpr name##1 make_##name##1(scalar x) { return {x}; }                           \
  constexpr name##2 make_##name##2(scalar x, scalar y) { return {x, y}; }              \
  constexpr name##3 make_##name##3(scalar x, scalar y, scalar z) { return {x, y, z}; } \
  constexpr name##4 make_##name##4(scalar x, scalar y, scalar z, scalar w) { return {x, y, z, w}; }

FOVEA_VECTOR_TYPES(signed char, char, 2, 4)
FOVEA_VECTOR_TYPES(unsigned char, uchar, 2, 4)
FOVEA_VECTOR_TYPES(short, short, 4, 8)
FOVEA_VECTOR_TYPES(unsigned short, ushort, 4, 8)
FOVEA_VECTOR_TYPES(int, int, 8, 16)
FOVEA_VECTOR_TYPES(unsigned, uint, 8, 16)
FOVEA_VECTOR_TYPES(long long, longlong, 16, 16)
FOVEA_VECTOR_TYPES(unsigned long long, ulonglong, 16, 16)
FOVEA_VECTOR_TYPES(float, float, 8, 16)
FOVEA_VECTOR_TYPES(double, double, 16, 16)
#undef FOVEA_VECTOR_TYPES

struct dim3 {
  unsigned x = 1, y = 1, z = 1;
  constexpr dim3(unsigned x_extent = 1, unsigned y_extent = 1, unsigned z_extent = 1)
      : x(x_extent), y(y_extent), z(z_extent) {}
  constexpr dim3(uint3 e) : x(e.x), y(e.y), z(e.z) {}
};
