// SPDX-License-Identifier: Apache-2.0
#include "kernels/ops/matmul.h"

#include <cblas.h>

#include "kernels/cpu/queue.h"

#if defined(__SANITIZE_THREAD__)
extern "C" {  // of its runtime; no header declares them
void __tsan_read_range(void* memory, std::size_t bytes);
void __tsan_write_range(void* memory, std::size_t bytes);
}
#endif

/// The result is cut into tiles by its shape alone; each is one call of a single-threaded BLAS on our own
/// threads. A BLAS that used threads of its own would cut by their number, and so change bits with it.
namespace fovea::cpu {
namespace {

constexpr std::int64_t kTileM = 256, kTileN = 256;

int as_int(std::int64_t x) { return static_cast<int>(x); }

/// Once per process, before the first product: OpenBLAS keeps its thread count for all callers.
bool single_threaded_blas() {
  openblas_set_num_threads(1);
  return true;
}

void multiply(CBLAS_TRANSPOSE ta, CBLAS_TRANSPOSE tb, int m, int n, int k, const float* a, int lda,
              const float* b, int ldb, float* c, int ldc) {
  cblas_sgemm(CblasRowMajor, ta, tb, m, n, k, 1.0f, a, lda, b, ldb, 0.0f, c, ldc);
}
void multiply(CBLAS_TRANSPOSE ta, CBLAS_TRANSPOSE tb, int m, int n, int k, const double* a, int lda,
              const double* b, int ldb, double* c, int ldc) {
  cblas_dgemm(CblasRowMajor, ta, tb, m, n, k, 1.0, a, lda, b, ldb, 0.0, c, ldc);
}

/// What BLAS reads and writes, told to ThreadSanitizer, with which BLAS is not compiled: so that a race with a
/// product shows as any other.
template <class T>
void tell_read([[maybe_unused]] const T* from, [[maybe_unused]] std::int64_t rows,
               [[maybe_unused]] std::int64_t columns, [[maybe_unused]] std::int64_t pitch) {
#if defined(__SANITIZE_THREAD__)
  for (std::int64_t r = 0; r < rows; ++r)
    __tsan_read_range(const_cast<T*>(from + r * pitch), static_cast<std::size_t>(columns) * sizeof(T));
#endif
}
template <class T>
void tell_write([[maybe_unused]] T* to, [[maybe_unused]] std::int64_t rows,
                [[maybe_unused]] std::int64_t columns, [[maybe_unused]] std::int64_t pitch) {
#if defined(__SANITIZE_THREAD__)
  for (std::int64_t r = 0; r < rows; ++r)
    __tsan_write_range(to + r * pitch, static_cast<std::size_t>(columns) * sizeof(T));
#endif
}

template <class T>
void product(Pool& pool, const Matmul& shape, const T* a, const T* b, T* c) {
  [[maybe_unused]] static const bool ready = single_threaded_blas();
  const std::int64_t m = shape.m, n = shape.n, k = shape.k;
  const std::int64_t tiles_n = (n + kTileN - 1) / kTileN, tiles = (m + kTileM - 1) / kTileM * tiles_n;
  for_parts(pool, tiles, [&](std::int64_t part) {
    const std::int64_t i = part / tiles_n * kTileM, j = part % tiles_n * kTileN;
    const std::int64_t rows = m - i < kTileM ? m - i : kTileM, columns = n - j < kTileN ? n - j : kTileN;
    T* const to = c + i * n + j;
    if (k == 0) {  // BLAS asks for leading dimensions of at least 1
      for (std::int64_t r = 0; r < rows; ++r)
        for (std::int64_t s = 0; s < columns; ++s) to[r * n + s] = T(0);
      return;
    }
    const T* const from_a = shape.transpose_a ? a + i : a + i * k;
    const T* const from_b = shape.transpose_b ? b + j * k : b + j;
    const std::int64_t pitch_a = shape.transpose_a ? m : k, pitch_b = shape.transpose_b ? k : n;
    tell_read(from_a, shape.transpose_a ? k : rows, shape.transpose_a ? rows : k, pitch_a);
    tell_read(from_b, shape.transpose_b ? columns : k, shape.transpose_b ? k : columns, pitch_b);
    tell_write(to, rows, columns, n);
    multiply(shape.transpose_a ? CblasTrans : CblasNoTrans, shape.transpose_b ? CblasTrans : CblasNoTrans,
             as_int(rows), as_int(columns), as_int(k), from_a, as_int(pitch_a), from_b, as_int(pitch_b), to,
             as_int(n));
  });
}

}  // namespace
}  // namespace fovea::cpu

namespace fovea::kernels {

void matmul(cpu::Queue& q, const Matmul& shape, DType dtype, const void* a, const void* b, void* c) {
  if (dtype == DType::f64)
    cpu::product(q, shape, static_cast<const double*>(a), static_cast<const double*>(b),
                 static_cast<double*>(c));
  else
    cpu::product(q, shape, static_cast<const float*>(a), static_cast<const float*>(b),
                 static_cast<float*>(c));
}

}  // namespace fovea::kernels
