// SPDX-License-Identifier: Apache-2.0
/// The kernels of tensor_core_kernels.cuh for nvcc; tensor_cores.sh compiles it and looks at the instructions.
#include "tests/simt/tensor_core_kernels.cuh"

namespace fovea::test {

template __global__ void mma_kernel<Mma::tf32>(const unsigned*, const unsigned*, const float*, float*);
template __global__ void mma_kernel<Mma::bf16>(const unsigned*, const unsigned*, const float*, float*);
template __global__ void mma_kernel<Mma::f16>(const unsigned*, const unsigned*, const float*, float*);
template __global__ void load_matrices_kernel<1, false>(int, const std::uint16_t*, unsigned*);
template __global__ void load_matrices_kernel<2, false>(int, const std::uint16_t*, unsigned*);
template __global__ void load_matrices_kernel<4, false>(int, const std::uint16_t*, unsigned*);
template __global__ void load_matrices_kernel<1, true>(int, const std::uint16_t*, unsigned*);
template __global__ void load_matrices_kernel<2, true>(int, const std::uint16_t*, unsigned*);
template __global__ void load_matrices_kernel<4, true>(int, const std::uint16_t*, unsigned*);
template __global__ void async_copy_kernel<4>(int, const unsigned char*, unsigned char*);
template __global__ void async_copy_kernel<8>(int, const unsigned char*, unsigned char*);
template __global__ void async_copy_kernel<16>(int, const unsigned char*, unsigned char*);
template __global__ void product_kernel<Slip::none>(int, int, int, const bf16*, const bf16*, float*);
__global__ void use_to_tf32(int n, const float* x, unsigned* y) {
  for (int i = 0; i < n; ++i) y[i] = gpu::to_tf32(x[i]);
}
__global__ void use_to_bf16_pair(int n, const float* x, unsigned* y) {
  for (int i = 0; i < n; ++i) y[i] = gpu::to_bf16_pair(x[i], x[i + 1]);
}

}  // namespace fovea::test
