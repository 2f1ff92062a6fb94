// SPDX-License-Identifier: Apache-2.0
#pragma once

#include "autograd/tape.h"

/// Operands that may be absent and gradients that nobody asked for are undefined tensors; kernels get null for them.
namespace fovea {

template <class T = float>
T* data_or_null(const Tensor& t) {
  return t.defined() ? t.data<T>() : nullptr;
}

inline Tensor contiguous_or_undefined(const char* op, const Var& v) {
  return v.value().defined() ? v.value().contiguous(op) : Tensor();
}

/// f32, on the device of `like`.
inline Tensor empty_if(bool wanted, const Shape& shape, const Tensor& like, const char* op) {
  return wanted ? Tensor::empty(shape, DType::f32, like.device(), op) : Tensor();
}

}  // namespace fovea
