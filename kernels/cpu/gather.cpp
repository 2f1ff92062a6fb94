// SPDX-License-Identifier: Apache-2.0
#include "kernels/ops/gather.h"

#include "kernels/convert.h"
#include "kernels/cpu/loops.h"
#include "kernels/cpu/queue.h"

namespace fovea {
namespace {

bool is_row(std::int64_t row, const Gather& s) { return row >= 0 && row < s.rows; }

/// n columns of one result row, from `column` on. `at` are its indices: one for each column, or one for all.
template <class T>
void gather_run(const Gather& s, const T* x, const std::int64_t* at, std::int64_t column, std::int64_t n,
                T* y) {
  const T nan = static_cast<T>(__builtin_nanf(""));
  if (!s.shared) {
    for (std::int64_t i = 0; i < n; ++i) y[i] = is_row(at[i], s) ? x[at[i] * s.inner + column + i] : nan;
  } else if (is_row(*at, s)) {
    __builtin_memcpy(y, x + *at * s.inner + column, static_cast<std::size_t>(n) * sizeof(T));
  } else {
    for (std::int64_t i = 0; i < n; ++i) y[i] = nan;
  }
}

template <class T>
void gather_as(cpu::Queue& queue, const Gather& s, const T* x, const std::int64_t* index, T* y) {
  cpu::for_ranges(queue, s.outer * s.count * s.inner, [&](std::int64_t first, std::int64_t last) {
    for (std::int64_t i = first; i < last;) {
      const std::int64_t row = i / s.inner, column = i % s.inner;
      const std::int64_t n = cpu::least(s.inner - column, last - i);
      const std::int64_t* at = s.shared ? index + row % s.count : index + i;
      gather_run(s, x + row / s.count * s.rows * s.inner, at, column, n, y + i);
      i += n;
    }
  });
}

/// A part owns some columns of one `outer` and adds into them index by index, so nothing is shared.
template <class T>
void gather_grad_as(cpu::Queue& queue, const Gather& s, const std::int64_t* index, const T* dy, T* dx) {
  constexpr std::int64_t kColumns = 1024;
  const std::int64_t chunks = cpu::blocks_of(s.inner, kColumns);
  cpu::for_parts(queue, s.outer * chunks, [&](std::int64_t part) {
    const std::int64_t outer = part / chunks, column = part % chunks * kColumns;
    const std::int64_t n = cpu::least(kColumns, s.inner - column);
    T* to = dx + outer * s.rows * s.inner + column;
    for (std::int64_t r = 0; r < s.rows; ++r)
      for (std::int64_t i = 0; i < n; ++i) to[r * s.inner + i] = T(0);
    for (std::int64_t k = 0; k < s.count; ++k) {
      const std::int64_t begin = (outer * s.count + k) * s.inner + column;
      if (!s.shared) {
        for (std::int64_t i = 0; i < n; ++i)
          if (const std::int64_t row = index[begin + i]; is_row(row, s))
            to[row * s.inner + i] += dy[begin + i];
      } else if (is_row(index[k], s)) {
        T* sum = to + index[k] * s.inner;
        for (std::int64_t i = 0; i < n; ++i) sum[i] += dy[begin + i];
      }
    }
  });
}

}  // namespace

void kernels::gather(cpu::Queue& queue, const Gather& shape, DType dtype, const void* x,
                     const std::int64_t* index, void* y) {
  with_float_type(dtype, [&]<class T>(TypeTag<T>) {
    gather_as(queue, shape, static_cast<const T*>(x), index, static_cast<T*>(y));
  });
}

void kernels::gather_grad(cpu::Queue& queue, const Gather& shape, DType dtype, const std::int64_t* index,
                          const void* dy, void* dx) {
  with_float_type(dtype, [&]<class T>(TypeTag<T>) {
    gather_grad_as(queue, shape, index, static_cast<const T*>(dy), static_cast<T*>(dx));
  });
}

}  // namespace fovea
