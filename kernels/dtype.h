// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstdint>

#include "kernels/host_device.h"

namespace fovea {

/// Element types. f32 is the default and works everywhere; f64 for creation, casts, elementwise, reductions
/// and matmul; bf16 is stored and converted; the integers hold indices, counts and images.
enum class DType : std::uint8_t { f32, f64, bf16, i64, i32, u8 };

/// The upper half of a float: 8 bits of exponent, 7 of fraction.
struct bf16 {
  std::uint16_t bits;
};

/// Exact.
FOVEA_HOST_DEVICE float to_float(bf16 x) {
  const std::uint32_t pattern = std::uint32_t{x.bits} << 16;
  float y;
  __builtin_memcpy(&y, &pattern, sizeof y);
  return y;
}

/// Round to nearest, ties to even; NaN stays NaN.
FOVEA_HOST_DEVICE bf16 to_bf16(float x) {
  std::uint32_t pattern;
  __builtin_memcpy(&pattern, &x, sizeof x);
  if ((pattern & 0x7FFFFFFFu) > 0x7F800000u) return {static_cast<std::uint16_t>((pattern >> 16) | 0x40u)};
  return {static_cast<std::uint16_t>((pattern + 0x7FFFu + ((pattern >> 16) & 1u)) >> 16)};
}

constexpr std::int64_t dtype_bytes(DType dtype) {
  switch (dtype) {
    case DType::f64:
    case DType::i64:
      return 8;
    case DType::f32:
    case DType::i32:
      return 4;
    case DType::bf16:
      return 2;
    case DType::u8:
      return 1;
  }
  return 0;
}

constexpr const char* dtype_name(DType dtype) {
  switch (dtype) {
    case DType::f32:
      return "f32";
    case DType::f64:
      return "f64";
    case DType::bf16:
      return "bf16";
    case DType::i64:
      return "i64";
    case DType::i32:
      return "i32";
    case DType::u8:
      return "u8";
  }
  return "?";
}

template <class T>
struct dtype_trait;
template <>
struct dtype_trait<float> {
  static constexpr DType value = DType::f32;
};
template <>
struct dtype_trait<double> {
  static constexpr DType value = DType::f64;
};
template <>
struct dtype_trait<bf16> {
  static constexpr DType value = DType::bf16;
};
template <>
struct dtype_trait<std::int64_t> {
  static constexpr DType value = DType::i64;
};
template <>
struct dtype_trait<std::int32_t> {
  static constexpr DType value = DType::i32;
};
template <>
struct dtype_trait<std::uint8_t> {
  static constexpr DType value = DType::u8;
};
template <class T>
inline constexpr DType dtype_of = dtype_trait<T>::value;

}  // namespace fovea
