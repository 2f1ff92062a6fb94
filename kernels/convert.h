// SPDX-License-Identifier: Apache-2.0
#pragma once

#include "kernels/dtype.h"

namespace fovea {

template <class T>
struct TypeTag {
  using type = T;
};

/// Calls f(TypeTag<T>) with the C++ type of a dtype.
template <class F>
void with_type(DType dtype, F&& f) {
  switch (dtype) {
    case DType::f32:
      return f(TypeTag<float>{});
    case DType::f64:
      return f(TypeTag<double>{});
    case DType::bf16:
      return f(TypeTag<bf16>{});
    case DType::i64:
      return f(TypeTag<std::int64_t>{});
    case DType::i32:
      return f(TypeTag<std::int32_t>{});
    case DType::u8:
      return f(TypeTag<std::uint8_t>{});
  }
}

/// The same for kernels that compute: f64, else f32.
template <class F>
void with_float_type(DType dtype, F&& f) {
  if (dtype == DType::f64) return f(TypeTag<double>{});
  return f(TypeTag<float>{});
}

template <class A, class B>
inline constexpr bool kSameType = false;
template <class A>
inline constexpr bool kSameType<A, A> = true;

/// Calls f(TypeTag<To>, TypeTag<From>) for a copy between two types. Between equal types bits are bits, so
/// types of one size share a loop.
template <class F>
void with_copy_types(DType to, DType from, F&& f) {
  if (from == to) {
    switch (dtype_bytes(from)) {
      case 1:
        return f(TypeTag<std::uint8_t>{}, TypeTag<std::uint8_t>{});
      case 2:
        return f(TypeTag<bf16>{}, TypeTag<bf16>{});
      case 4:
        return f(TypeTag<std::int32_t>{}, TypeTag<std::int32_t>{});
      default:
        return f(TypeTag<std::int64_t>{}, TypeTag<std::int64_t>{});
    }
  }
  with_type(from, [&]<class From>(TypeTag<From> source) {
    with_type(to, [&]<class To>(TypeTag<To> target) {
      if constexpr (!kSameType<To, From>) f(target, source);
    });
  });
}

/// One element in another type: to floats rounded to nearest, to integers truncated. bf16 goes by way of f32,
/// so a f64 or a large integer is rounded twice on its way to bf16.
template <class To, class From>
FOVEA_HOST_DEVICE To convert(From x) {
  if constexpr (kSameType<To, From>)
    return x;
  else if constexpr (kSameType<From, bf16>)
    return convert<To>(to_float(x));
  else if constexpr (kSameType<To, bf16>)
    return to_bf16(static_cast<float>(x));
  else
    return static_cast<To>(x);
}

}  // namespace fovea
