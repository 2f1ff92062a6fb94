// SPDX-License-Identifier: Apache-2.0
#include <cublas_v2.h>

#include <memory>
#include <string>

#include "kernels/arena.h"
#include "kernels/cuda/check.h"
#include "kernels/cuda/stream.h"
#include "kernels/ops/matmul.h"
#include "kernels/range.h"

namespace fovea {
namespace {

/// 32 MiB is what NVIDIA recommends on sm_90; with a workspace of its own a handle gives equal bits from run
/// to run, also when other streams are busy.
constexpr std::size_t kWorkspaceBytes = 32u << 20;

/// Throws OutOfMemory if that is what it is, else DeviceFault; a kernel's fault with the names of the last launches.
void check(cuda::Stream& stream, cublasStatus_t status, const char* call) {
  if (status == CUBLAS_STATUS_SUCCESS) return;
  if (status == CUBLAS_STATUS_ALLOC_FAILED) stream.arena().refuse(0, call);
  stream.check(cudaPeekAtLastError(), call);
  throw DeviceFault(std::string(call) + ": " + cublasGetStatusString(status));
}

/// A stream's cuBLAS handle. It lies in the stream and goes before the stream's memory does.
class Blas {
 public:
  explicit Blas(cuda::Stream& stream)
      : arena_(stream.arena()), workspace_(arena_.allocate(kWorkspaceBytes, "cublas")) {
    cublasStatus_t status = cublasCreate(&handle_);
    if (status ==
        CUBLAS_STATUS_ALLOC_FAILED) {  // it wants memory of its own, and the arena may keep what is left
      arena_.trim();
      status = cublasCreate(&handle_);
    }
    if (status != CUBLAS_STATUS_SUCCESS) arena_.release(workspace_);
    check(stream, status, "cublasCreate");
    const cublasStatus_t settings[] = {
        cublasSetStream(handle_, stream.get()), cublasSetWorkspace(handle_, workspace_, kWorkspaceBytes),
        cublasSetMathMode(handle_, stream.math() == Math::fp32 ? CUBLAS_PEDANTIC_MATH : CUBLAS_DEFAULT_MATH)};
    for (const cublasStatus_t setting : settings) {
      if (setting == CUBLAS_STATUS_SUCCESS) continue;
      close();
      check(stream, setting, "cublasSetStream, cublasSetWorkspace or cublasSetMathMode");
    }
  }
  ~Blas() { close(); }
  Blas(const Blas&) = delete;
  Blas& operator=(const Blas&) = delete;
  cublasHandle_t handle() const { return handle_; }

 private:
  void close() noexcept {
    (void)cublasDestroy(handle_);
    arena_.release(workspace_);
  }
  Arena& arena_;
  void* workspace_;
  cublasHandle_t handle_ = nullptr;
};

Blas& blas_of(cuda::Stream& stream) {
  std::shared_ptr<void>& slot = stream.blas();
  if (slot == nullptr) slot = std::make_shared<Blas>(stream);
  return *static_cast<Blas*>(slot.get());
}

/// What cuBLAS may do with f32 operands. The fast types allow the mode, and leave cuBLAS free to be more exact.
cublasComputeType_t compute_type(Math math) {
  return math == Math::fp32   ? CUBLAS_COMPUTE_32F_PEDANTIC
         : math == Math::tf32 ? CUBLAS_COMPUTE_32F_FAST_TF32
                              : CUBLAS_COMPUTE_32F_FAST_16BF;
}

}  // namespace

// cuBLAS counts columns first, and a row-major matrix is its transpose: cᵀ = bᵀ·aᵀ, with the operands
// swapped.
void kernels::matmul(cuda::Stream& queue, const Matmul& shape, DType dtype, const void* a, const void* b,
                     void* c) {
  if (shape.m == 0 || shape.n == 0) return;
  queue.make_current();
  const bool is_double = dtype == DType::f64;
  if (shape.k == 0) {
    queue.fill_zero(c, static_cast<std::size_t>(shape.m * shape.n * dtype_bytes(dtype)));
    return;
  }
  const cublasHandle_t handle = blas_of(queue).handle();
  const Range range("matmul");
  queue.launched("matmul");
  const auto operation = [](bool transpose) { return transpose ? CUBLAS_OP_T : CUBLAS_OP_N; };
  const auto to_int = [](std::int64_t i) { return static_cast<int>(i); };
  const int m = to_int(shape.m), n = to_int(shape.n), k = to_int(shape.k);
  const int step_a = shape.transpose_a ? m : k, step_b = shape.transpose_b ? k : n;
  if (is_double) {
    const double one = 1.0, zero = 0.0;
    check(queue,
          cublasDgemm(handle, operation(shape.transpose_b), operation(shape.transpose_a), n, m, k, &one,
                      static_cast<const double*>(b), step_b, static_cast<const double*>(a), step_a, &zero,
                      static_cast<double*>(c), n),
          "cublasDgemm");
  } else {
    const float one = 1.0f, zero = 0.0f;
    check(queue,
          cublasGemmEx(handle, operation(shape.transpose_b), operation(shape.transpose_a), n, m, k, &one, b,
                       CUDA_R_32F, step_b, a, CUDA_R_32F, step_a, &zero, c, CUDA_R_32F, n,
                       compute_type(queue.math()), CUBLAS_GEMM_DEFAULT),
          "cublasGemmEx");
  }
}

}  // namespace fovea
