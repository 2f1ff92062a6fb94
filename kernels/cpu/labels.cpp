// SPDX-License-Identifier: Apache-2.0
#include "kernels/ops/labels.h"

#include "kernels/convert.h"
#include "kernels/cpu/loops.h"
#include "kernels/cpu/queue.h"

namespace fovea {
namespace {

constexpr std::int64_t kColumns = 64;  // searched side by side

/// The greatest of each of n ≤ kColumns columns of x[width, inner], and its place.
template <class T>
void search(std::int64_t width, std::int64_t inner, std::int64_t n, const T* x, T* best,
            std::int64_t* place) {
  for (std::int64_t i = 0; i < n; ++i) {
    best[i] = x[i];
    place[i] = 0;
  }
  for (std::int64_t w = 1; w < width; ++w)
    for (std::int64_t i = 0; i < n; ++i) {
      const T value = x[w * inner + i];
      const bool greater = exceeds(value, best[i]);
      best[i] = greater ? value : best[i];
      place[i] = greater ? w : place[i];
    }
}

/// The place of the greatest of x[width]: that of kColumns columns of it, then of the rest.
template <class T>
std::int64_t search_row(std::int64_t width, const T* x) {
  T best[kColumns];
  std::int64_t place[kColumns];
  const std::int64_t rows = width / kColumns;
  std::int64_t greatest = 0;
  if (rows > 0) {
    search(rows, kColumns, kColumns, x, best, place);
    for (std::int64_t i = 0; i < kColumns; ++i) {
      const std::int64_t at = place[i] * kColumns + i;
      const bool equal = !exceeds(x[at], x[greatest]) && !exceeds(x[greatest], x[at]);
      if (equal ? at < greatest : exceeds(x[at], x[greatest])) greatest = at;
    }
  }
  for (std::int64_t at = rows * kColumns; at < width; ++at)
    if (exceeds(x[at], x[greatest])) greatest = at;
  return greatest;
}

}  // namespace

void kernels::argmax(cpu::Queue& queue, const Reduce& s, DType dtype, const void* x, std::int64_t* y) {
  const std::int64_t chunks = cpu::blocks_of(s.inner, kColumns);
  const std::int64_t work = s.width * cpu::least(s.inner, kColumns);  // of one chunk
  with_float_type(dtype, [&]<class T>(TypeTag<T>) {
    const T* in = static_cast<const T*>(x);
    const auto run = [&](std::int64_t first, std::int64_t last) {
      T best[kColumns];
      for (std::int64_t i = first; i < last; ++i) {
        if (s.inner == 1) {
          y[i] = search_row(s.width, in + i * s.width);
          continue;
        }
        const std::int64_t outer = i / chunks, column = i % chunks * kColumns;
        search(s.width, s.inner, cpu::least(kColumns, s.inner - column),
               in + outer * s.width * s.inner + column, best, y + outer * s.inner + column);
      }
    };
    cpu::for_ranges(queue, s.outer * chunks, run, work > 0 ? cpu::blocks_of(cpu::kPartElements, work) : 1);
  });
}

void kernels::one_hot(cpu::Queue& queue, std::int64_t count, std::int64_t classes, const std::int64_t* labels,
                      float* y) {
  const auto rows = [&](std::int64_t first, std::int64_t last) {
    for (std::int64_t n = first; n < last; ++n) {
      const std::int64_t label = labels[n];
      const bool known = label >= 0 && label < classes;
      const float other = known ? 0.0f : __builtin_nanf("");
      for (std::int64_t c = 0; c < classes; ++c) y[n * classes + c] = other;
      if (known) y[n * classes + label] = 1.0f;
    }
  };
  cpu::for_ranges(queue, count, rows, cpu::blocks_of(cpu::kPartElements, classes));
}

}  // namespace fovea
