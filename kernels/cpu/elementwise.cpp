// SPDX-License-Identifier: Apache-2.0
#include "kernels/ops/elementwise.h"

#include "kernels/convert.h"
#include "kernels/cpu/loops.h"
#include "kernels/cpu/queue.h"
#include "kernels/cpu/stream.h"
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

/// write_pieces() of a result of `count` elements, if they are floats.
template <class T, class F>
void write(T* to, std::int64_t n, std::int64_t count, const F& f) {
  if constexpr (sizeof(T) == 4)
    cpu::write_pieces(to, n, cpu::are_streamed(count), f);
  else
    f(0, n, to);
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
  const std::int64_t count = shape.count();
  const Steps step = inner < 0
                         ? Steps{1, 1, 1}
                         : Steps{shape.stride[0][inner], shape.stride[1][inner], shape.stride[2][inner]};
  cpu::for_runs<3>(queue, shape, [&](std::int64_t n, const std::int64_t(&offset)[3]) {
    const T *const l = left + offset[1], *const r = right + offset[2];
    if (step.y != 1) return binary_run<f>(n, step, l, r, out + offset[0]);
    write(out + offset[0], n, count, [&](std::int64_t i, std::int64_t some, T* to) {
      binary_run<f>(some, step, l + i * step.a, r + i * step.b, to);
    });
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

/// `from` is x or y, whichever slope_needs_input() names.
template <Function f, class T>
void slopes(std::int64_t n, const T* from, const T* dy, T* dx) {
  if constexpr (sizeof(T) == 4 && f == Function::softplus) {
    cpu::store_softplus_slopes(n, from, dy, dx);
  } else {
    for (std::int64_t i = 0; i < n; ++i) {
      if constexpr (slope_needs_input(f))
        dx[i] = dy[i] * slope_of<f>(from[i], T(0));
      else
        dx[i] = dy[i] * slope_of<f>(T(0), from[i]);
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
        write<T>(out + first, last - first, count,
                 [&](std::int64_t i, std::int64_t n, T* to) { values<kF>(n, in + first + i, to); });
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
      const T* const from = slope_needs_input(kF) ? in : value;
      cpu::for_ranges(queue, count, [&](std::int64_t first, std::int64_t last) {
        write<T>(out + first, last - first, count, [&](std::int64_t i, std::int64_t n, T* to) {
          slopes<kF>(n, from + first + i, slope + first + i, to);
        });
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
      write<T>(out + first, last - first, count, [&](std::int64_t i, std::int64_t n, T* to) {
        const T* const from = in + first + i;
        for (std::int64_t k = 0; k < n; ++k) to[k] = slope * from[k] + offset;
      });
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
