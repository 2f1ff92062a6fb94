// SPDX-License-Identifier: Apache-2.0
#pragma once

#include "kernels/dtype.h"
#include "kernels/function.h"
#include "kernels/geometry.h"
#include "kernels/queues.h"

namespace fovea {
enum class Binary : std::uint8_t { add, subtract, multiply, divide };
}

/// dtype is f32 or f64 and holds for all operands of a call.
namespace fovea::kernels {

/// y[i] = f(x[i]), contiguous. y may be x.
FOVEA_KERNEL(unary, Function f, std::int64_t count, DType dtype, const void* x, void* y);

/// dx[i] = dy[i]·f'(x[i]); x may be null unless slope_needs_input(f), y = f(x). dx may be dy.
FOVEA_KERNEL(unary_grad, Function f, std::int64_t count, DType dtype, const void* x, const void* y,
             const void* dy, void* dx);

/// y = a ∘ b with broadcasting; operands of `shape` are y (0), a (1), b (2).
FOVEA_KERNEL(binary, Binary f, const Strided& shape, DType dtype, const void* a, const void* b, void* y);

/// y[i] = scale·x[i] + shift, contiguous. y may be x.
FOVEA_KERNEL(affine, std::int64_t count, DType dtype, double scale, double shift, const void* x, void* y);

/// y[i] += x[i], contiguous.
FOVEA_KERNEL(accumulate, std::int64_t count, DType dtype, const void* x, void* y);

}  // namespace fovea::kernels
