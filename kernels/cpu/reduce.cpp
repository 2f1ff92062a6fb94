// SPDX-License-Identifier: Apache-2.0
#include "kernels/ops/reduce.h"

#include "kernels/convert.h"
#include "kernels/cpu/loops.h"
#include "kernels/cpu/queue.h"

/// Note [Depth of a sum]: the rounding error of a sum grows with the number of additions one after another.
/// Rows are summed in parts of 16384 elements by 64 bytes times 4 of lanes, columns in groups of 32 rows; the
/// sums of the parts are then summed in the same way. So a million terms meet some 300 additions in a chain.
namespace fovea {
namespace {

template <class T>
struct Lanes {
  static constexpr int kCount = 64 / sizeof(T);
  typedef T Type __attribute__((vector_size(64)));  // as many registers as that takes: equal bits everywhere
};

/// Sum of x[0..n).
template <class T>
T sum_row(const T* x, std::int64_t n) {
  using V = typename Lanes<T>::Type;
  constexpr int kLanes = Lanes<T>::kCount;
  V sum[4] = {};
  std::int64_t i = 0;
  for (; i + 4 * kLanes <= n; i += 4 * kLanes)
    for (int k = 0; k < 4; ++k) {
      V next;
      __builtin_memcpy(&next, x + i + k * kLanes, sizeof next);
      sum[k] += next;
    }
  for (; i + kLanes <= n; i += kLanes) {
    V next;
    __builtin_memcpy(&next, x + i, sizeof next);
    sum[0] += next;
  }
  const V all = (sum[0] + sum[1]) + (sum[2] + sum[3]);
  T lane[kLanes];
  __builtin_memcpy(lane, &all, sizeof lane);
  for (int step = kLanes / 2; step > 0; step /= 2)
    for (int k = 0; k < step; ++k) lane[k] += lane[k + step];
  T rest = T(0);
  for (; i < n; ++i) rest += x[i];
  return lane[0] + rest;
}

constexpr std::int64_t kColumns = 512;  // of a column block: its two rows of sums stay in the first cache
constexpr std::int64_t kGroup = 32;     // rows added one after another

/// y[i] = scale·Σ_r x[r·stride + i] for i < columns ≤ kColumns.
template <class T>
void sum_columns(const T* x, std::int64_t rows, std::int64_t columns, std::int64_t stride, T scale, T* y) {
  T total[kColumns], group[kColumns];
  for (std::int64_t i = 0; i < columns; ++i) total[i] = T(0);
  for (std::int64_t first = 0; first < rows; first += kGroup) {
    const std::int64_t last = cpu::least(first + kGroup, rows);
    for (std::int64_t i = 0; i < columns; ++i) group[i] = T(0);
    std::int64_t r = first;
    for (; r + 4 <= last; r += 4) {  // four rows at a time: a quarter of the traffic of `group`
      const T *a = x + r * stride, *b = a + stride, *c = b + stride, *d = c + stride;
      for (std::int64_t i = 0; i < columns; ++i) group[i] += (a[i] + b[i]) + (c[i] + d[i]);
    }
    for (; r < last; ++r)
      for (std::int64_t i = 0; i < columns; ++i) group[i] += x[r * stride + i];
    for (std::int64_t i = 0; i < columns; ++i) total[i] += group[i];
  }
  for (std::int64_t i = 0; i < columns; ++i) y[i] = scale * total[i];
}

/// How the rows of one reduction are divided: all by shape.
struct Cut {
  std::int64_t columns, column_blocks, rows, row_blocks;
};

Cut cut(const Reduce& s) {
  Cut c{};
  c.columns = cpu::least(s.inner, kColumns);
  c.column_blocks = cpu::blocks_of(s.inner, c.columns);
  if (s.inner == 1) {
    c.rows = cpu::kPartElements;
  } else {
    constexpr std::int64_t kEnoughParts = 16;
    c.rows = kGroup * kGroup;
    if (s.outer * c.column_blocks < kEnoughParts) c.rows = cpu::least(c.rows, cpu::kPartElements / c.columns);
  }
  c.row_blocks = cpu::blocks_of(s.width, c.rows);
  return c;
}

/// y[outer, row_blocks, inner]: the sums of the row blocks.
template <class T>
void sum_blocks(cpu::Queue& queue, const Reduce& s, const Cut& c, T scale, const T* x, T* y) {
  const std::int64_t items = s.outer * c.row_blocks * c.column_blocks;
  const std::int64_t size = cpu::least(c.rows, s.width) * c.columns;  // elements of an item
  const std::int64_t grouped = size < cpu::kPartElements ? cpu::kPartElements / size : 1;
  cpu::for_ranges(
      queue, items,
      [&](std::int64_t first, std::int64_t last) {
        for (std::int64_t item = first; item < last; ++item) {
          const std::int64_t column = item % c.column_blocks * c.columns, block = item / c.column_blocks;
          const std::int64_t row = block % c.row_blocks * c.rows, outer = block / c.row_blocks;
          const std::int64_t rows = cpu::least(c.rows, s.width - row);
          const T* from = x + (outer * s.width + row) * s.inner + column;
          T* to = y + block * s.inner + column;
          if (s.inner == 1)
            *to = scale * sum_row(from, rows);
          else
            sum_columns(from, rows, cpu::least(c.columns, s.inner - column), s.inner, scale, to);
        }
      },
      grouped);
}

template <class T>
void sum_as(cpu::Queue& queue, const Reduce& s, double scale, const T* x, T* y) {
  if (s.outer * s.inner == 0) return;
  if (s.width == 0) {
    for (std::int64_t i = 0; i < s.outer * s.inner; ++i) y[i] = T(0);
    return;
  }
  const Cut c = cut(s);
  if (c.row_blocks == 1) return sum_blocks(queue, s, c, static_cast<T>(scale), x, y);
  Scratch<T> partial(queue, s.outer * c.row_blocks * s.inner, "reduce_sum");
  sum_blocks(queue, s, c, T(1), x, partial.data());
  sum_as(queue, Reduce{s.outer, c.row_blocks, s.inner}, scale, partial.data(), y);
}

}  // namespace

void kernels::reduce_sum(cpu::Queue& queue, const Reduce& shape, DType dtype, double scale, const void* x,
                         void* y) {
  with_float_type(dtype, [&]<class T>(TypeTag<T>) {
    sum_as(queue, shape, scale, static_cast<const T*>(x), static_cast<T*>(y));
  });
}

void kernels::channel_sum(cpu::Queue& queue, std::int64_t batch, std::int64_t channels, std::int64_t inner,
                          const float* x, float* y) {
  if (batch == 1 || inner == 1)
    return sum_as(queue, inner == 1 ? Reduce{1, batch, channels} : Reduce{channels, inner, 1}, 1.0, x, y);
  Scratch<float> planes(queue, batch * channels, "channel_sum");
  sum_as(queue, Reduce{batch * channels, inner, 1}, 1.0, x, planes.data());
  sum_as(queue, Reduce{1, batch, channels}, 1.0, planes.data(), y);
}

}  // namespace fovea
