// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <limits>

#include "autograd/op_info.h"
#include "autograd/tape.h"
#include "kernels/ops/matmul.h"

namespace fovea {

inline constexpr OpInfo matmul_info{.name = "matmul",
                                    .dtypes = "f32 f64",
                                    .signature = "a[MK...] b[KN...] -> y[M, N]",
                                    .flops = "2·MK·N",
                                    .bytes = "E·(MK + KN + M·N)",
                                    .gradient = "dA = dy·Bᵀ, dB = Aᵀ·dy",
                                    .gradient_flops = "(da + db)·2·MK·N",
                                    .keeps = "a b"};

namespace matmul_detail {

inline Tensor product(const Tensor& a, const Tensor& b, bool transpose_a, bool transpose_b) {
  const Matmul shape{.m = a.size(transpose_a ? 1 : 0),
                     .n = b.size(transpose_b ? 0 : 1),
                     .k = a.size(transpose_a ? 0 : 1),
                     .transpose_a = transpose_a,
                     .transpose_b = transpose_b};
  Tensor c = Tensor::empty({shape.m, shape.n}, a.dtype(), a.device(), "matmul");
  on(c.queue(), [&](auto& q) { kernels::matmul(q, shape, a.dtype(), a.raw(), b.raw(), c.raw()); });
  return c;
}

}  // namespace matmul_detail

/// Product of two matrices, A being a or its transpose, B being b or its transpose.
///
/// formula  y[i, j] = Σ_{k} A[i, k]·B[k, j]
/// a        [M, K], with transpose_a [K, M]; f32 or f64; extents below 2³¹
/// b        [K, N], with transpose_b [N, K]; the dtype of a
/// transpose_a, transpose_b  whether a, or b, is read transposed; nothing is copied for it
/// returns  [M, N]; zeros if K = 0
/// keeps    a and b: dA = dy·Bᵀ, dB = Aᵀ·dy
/// throws   ShapeError with both shapes, DTypeError, DeviceError
/// order    deterministic; f32 sums stay in f32 on every device, operands as they are unless its math() rounds them
/// source   Golub and Van Loan 2013, Matrix Computations, §1.1; gradients: Giles 2008
inline Var matmul(const Var& a, const Var& b, bool transpose_a = false, bool transpose_b = false) {
  constexpr const char* op = "matmul";
  const DType dtype = a.value().dtype();
  if (dtype != DType::f32 && dtype != DType::f64)
    reject<DTypeError>(op, "a {} is {}, expected f32 or f64; convert it with to()", a.shape(),
                       dtype_name(dtype));
  check_dtype(op, "b", b.value(), dtype);
  if (a.shape().rank() != 2 || b.shape().rank() != 2)
    reject(op, "a {} and b {} must both have rank 2", a.shape(), b.shape());
  const std::int64_t in_a = a.shape()[transpose_a ? 0 : 1], in_b = b.shape()[transpose_b ? 1 : 0];
  if (in_a != in_b)
    reject(op, "a {}{} and b {}{} do not fit: {} columns meet {} rows", a.shape(),
           transpose_a ? " transposed" : "", b.shape(), transpose_b ? " transposed" : "", in_a, in_b);
  for (const Shape& shape : {a.shape(), b.shape()})
    for (const std::int64_t extent : shape)
      if (extent > std::numeric_limits<std::int32_t>::max())
        reject(op, "a {} and b {} must have extents below 2147483648", a.shape(), b.shape());
  check_same_device(op, {a, b});
  const Tensor left = a.value().contiguous(op), right = b.value().contiguous(op);
  const Tensor y = matmul_detail::product(left, right, transpose_a, transpose_b);
  return record(
      matmul_info, y, {a, b}, {left, right}, [=](const Tensor& slope, Needs needs, Kept kept) -> Grads {
        using matmul_detail::product;
        const Tensor dy = slope.contiguous(op), &kept_a = kept[0], &kept_b = kept[1];
        Grads d(2);
        if (needs[0])
          d[0] =
              transpose_a ? product(kept_b, dy, transpose_b, true) : product(dy, kept_b, false, !transpose_b);
        if (needs[1])
          d[1] =
              transpose_b ? product(dy, kept_a, true, transpose_a) : product(kept_a, dy, !transpose_a, false);
        return d;
      });
}

}  // namespace fovea
