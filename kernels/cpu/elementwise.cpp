// SPDX-License-Identifier: Apache-2.0
#include "kernels/ops/elementwise.h"

#include "kernels/convert.h"
#include "kernels/cpu/loops.h"
#include "kernels/cpu/queue.h"
#include "kernels/cpu/vec_function.h"

namespace fovea {
namespace {

template <Binary f, class T>
T apply(T a, T b) {
  if constexpr (f == Binary::add) return a + b;
  if constexpr (f == Binary::subtract) return a - b;
  if constexpr (f == Binary::multiply) return a * b;
  if constexpr (f == Binary::divide) return a / b;
}

/// Steps of the operands along a run. Rows of y lie in memory one after the other, so only a step of 1
/// or 0 (a repeated element) of a and b is worth a loop of its own.
struct Steps {
  std::int64_t y, a, b;
};

template <Binary f, class T>
void binary_run(std::int64_t n, Steps step, const T* a, const T* b, T* y) {
  if (step.y == 1 && step.a == 1 && step.b == 1) {
    for (std::int64_t i = 0; i < n; ++i) y[i] = apply<f>(a[i], b[i]);
  } else if (step.y == 1 && step.a == 1 && step.b == 0) {
    const T repeated = *b;
    for (std::int64_t i = 0; i < n; ++i) y[i] = apply<f>(a[i], repeated);
  } else if (step.y == 1 && step.a == 0 && step.b == 1) {
    const T repeated = *a;
    for (std::int64_t i = 0; i < n; ++i) y[i] = apply<f>(repeated, b[i]);
  } else {
    for (std::int64_t i = 0; i < n; ++i) y[i * step.y] = apply<f>(a[i * step.a], b[i * step.b]);
  }
}

template <Binary f, class T>
void binary_as(cpu::Queue& queue, const Strided& shape, const void* a, const void* b, void* y) {
  const T* left = static_cast<const T*>(a);
  const T* right = static_cast<const T*>(b);
  T* out = static_cast<T*>(y);
  const int inner = shape.rank - 1;
  const Steps step = inner < 0
                         ? Steps{1, 1, 1}
                         : Steps{shape.stride[0][inner], shape.stride[1][inner], shape.stride[2][inner]};
  cpu::for_runs<3>(queue, shape, [&](std::int64_t n, const std::int64_t(&offset)[3]) {
    binary_run<f>(n, step, left + offset[1], right + offset[2], out + offset[0]);
  });
}

template <Function f, class T>
void values(std::int64_t n, const T* x, T* y) {
  if constexpr (sizeof(T) == 4 && cpu::has_vector_form(f)) {
    cpu::store_values<f>(
        n, [=](std::int64_t i, int lanes) { return cpu::load(x + i, lanes); }, y);
  } else {
    for (std::int64_t i = 0; i < n; ++i) y[i] = value_of<f>(x[i]);
  }
}

/// Of elements first..last-1. Only the one of x and y that slope_needs_input() names is read; the other may be null.
template <Function f, class T>
void slopes(std::int64_t first, std::int64_t last, const T* x, const T* y, const T* dy, T* dx) {
  if constexpr (sizeof(T) == 4 && f == Function::softplus) {
    cpu::store_softplus_slopes(last - first, y + first, dy + first, dx + first);
  } else {
    for (std::int64_t i = first; i < last; ++i) {
      if constexpr (slope_needs_input(f))
        dx[i] = dy[i] * slope_of<f>(x[i], T(0));
      else
        dx[i] = dy[i] * slope_of<f>(T(0), y[i]);
    }
  }
}

}  // namespace

void kernels::unary(cpu::Queue& queue, Function f, std::int64_t count, DType dtype, const void* x, void* y) {
  with_float_type(dtype, [&]<class T>(TypeTag<T>) {
    const T* in = static_cast<const T*>(x);
    T* out = static_cast<T*>(y);
    with_function(f, [&]<Function kF>(FunctionTag<kF>) {
      cpu::for_ranges(queue, count, [&](std::int64_t first, std::int64_t last) {
        values<kF>(last - first, in + first, out + first);
      });
    });
  });
}

void kernels::unary_grad(cpu::Queue& queue, Function f, std::int64_t count, DType dtype, const void* x,
                         const void* y, const void* dy, void* dx) {
  with_float_type(dtype, [&]<class T>(TypeTag<T>) {
    const T* in = static_cast<const T*>(x);
    const T* value = static_cast<const T*>(y);
    const T* slope = static_cast<const T*>(dy);
    T* out = static_cast<T*>(dx);
    with_function(f, [&]<Function kF>(FunctionTag<kF>) {
      cpu::for_ranges(queue, count, [&](std::int64_t first, std::int64_t last) {
        slopes<kF>(first, last, in, value, slope, out);
      });
    });
  });
}

void kernels::binary(cpu::Queue& queue, Binary f, const Strided& shape, DType dtype, const void* a,
                     const void* b, void* y) {
  with_float_type(dtype, [&]<class T>(TypeTag<T>) {
    switch (f) {
      case Binary::add:
        return binary_as<Binary::add, T>(queue, shape, a, b, y);
      case Binary::subtract:
        return binary_as<Binary::subtract, T>(queue, shape, a, b, y);
      case Binary::multiply:
        return binary_as<Binary::multiply, T>(queue, shape, a, b, y);
      case Binary::divide:
        return binary_as<Binary::divide, T>(queue, shape, a, b, y);
    }
  });
}

void kernels::affine(cpu::Queue& queue, std::int64_t count, DType dtype, double scale, double shift,
                     const void* x, void* y) {
  with_float_type(dtype, [&]<class T>(TypeTag<T>) {
    const T* in = static_cast<const T*>(x);
    T* out = static_cast<T*>(y);
    const T slope = static_cast<T>(scale), offset = static_cast<T>(shift);
    cpu::for_ranges(queue, count, [&](std::int64_t first, std::int64_t last) {
      for (std::int64_t i = first; i < last; ++i) out[i] = slope * in[i] + offset;
    });
  });
}

void kernels::accumulate(cpu::Queue& queue, std::int64_t count, DType dtype, const void* x, void* y) {
  with_float_type(dtype, [&]<class T>(TypeTag<T>) {
    const T* in = static_cast<const T*>(x);
    T* out = static_cast<T*>(y);
    cpu::for_ranges(queue, count, [&](std::int64_t first, std::int64_t last) {
      for (std::int64_t i = first; i < last; ++i) out[i] += in[i];
    });
  });
}

}  // namespace fovea
