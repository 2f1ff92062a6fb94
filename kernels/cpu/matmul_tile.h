// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cblas.h>

#include <cstddef>
#include <cstdint>

#if defined(__SANITIZE_THREAD__)
extern "C" {  // of its runtime; no header declares them
void __tsan_read_range(void* memory, std::size_t bytes);
void __tsan_write_range(void* memory, std::size_t bytes);
}
#endif

/// One tile of a matrix product: a call of a single-threaded BLAS on one of our own threads. A BLAS that
/// used threads of its own would cut by their number, and so change bits with it.
namespace fovea::cpu {
namespace {

/// Extents of a tile: its callers cut results by these, whatever else the shape is.
constexpr std::int64_t kTileM = 256, kTileN = 256;

/// Once per process, before the first product: OpenBLAS keeps its thread count for all callers.
bool single_threaded_blas() {
  openblas_set_num_threads(1);
  return true;
}

/// rows x columns elements, row-major, `pitch` from one row to the next.
template <class T>
struct Tile {
  T* data;
  std::int64_t rows, columns, pitch;
};

[[maybe_unused]] void call_blas(CBLAS_TRANSPOSE ta, CBLAS_TRANSPOSE tb, int m, int n, int k, const float* a,
                                int lda, const float* b, int ldb, float* c, int ldc) {
  cblas_sgemm(CblasRowMajor, ta, tb, m, n, k, 1.0f, a, lda, b, ldb, 0, c, ldc);
}
[[maybe_unused]] void call_blas(CBLAS_TRANSPOSE ta, CBLAS_TRANSPOSE tb, int m, int n, int k, const double* a,
                                int lda, const double* b, int ldb, double* c, int ldc) {
  cblas_dgemm(CblasRowMajor, ta, tb, m, n, k, 1.0, a, lda, b, ldb, 0, c, ldc);
}

/// What BLAS reads and writes, told to ThreadSanitizer, with which BLAS is not compiled: so that a race
/// with a product shows as any other.
template <class T>
void tell_read([[maybe_unused]] const Tile<const T>& block) {
#if defined(__SANITIZE_THREAD__)
  for (std::int64_t r = 0; r < block.rows; ++r)
    __tsan_read_range(const_cast<T*>(block.data + r * block.pitch),
                      static_cast<std::size_t>(block.columns) * sizeof(T));
#endif
}
template <class T>
void tell_write([[maybe_unused]] const Tile<T>& block) {
#if defined(__SANITIZE_THREAD__)
  for (std::int64_t r = 0; r < block.rows; ++r)
    __tsan_write_range(block.data + r * block.pitch, static_cast<std::size_t>(block.columns) * sizeof(T));
#endif
}

/// c = a·b; a and b as they are stored, to be transposed or not. No extent may be 0:
/// BLAS asks for pitches of at least 1.
template <class T>
void multiply_tile(bool transpose_a, const Tile<const T>& a, bool transpose_b, const Tile<const T>& b,
                   const Tile<T>& c) {
  [[maybe_unused]] static const bool ready = single_threaded_blas();
  tell_read(a);
  tell_read(b);
  tell_write(c);
  const auto as_int = [](std::int64_t i) { return static_cast<int>(i); };
  call_blas(transpose_a ? CblasTrans : CblasNoTrans, transpose_b ? CblasTrans : CblasNoTrans, as_int(c.rows),
            as_int(c.columns), as_int(transpose_a ? a.rows : a.columns), a.data, as_int(a.pitch), b.data,
            as_int(b.pitch), c.data, as_int(c.pitch));
}

}  // namespace
}  // namespace fovea::cpu
