// SPDX-License-Identifier: Apache-2.0
#pragma once

/// The queue types that kernels are overloaded on. The type of the queue picks the backend, so there is no
/// registry, no enum and no stub: a backend that is absent from a build is an absent overload.
namespace fovea {
namespace cpu {
class Pool;    // threads and memory of the host; the three below differ in the instructions their kernels use
class Scalar;  // baseline of the target architecture
class Avx2;    // AVX2 + FMA
class Avx512;  // AVX-512 F, BW, DQ, VL
}  // namespace cpu
namespace simt {
class Grid;  // the CUDA sources, executed by the host
}
namespace cuda {
class Stream;  // the same sources on a GPU
}
}  // namespace fovea

/// Declares one kernel entry on every queue. `FOVEA_KERNEL(fill, std::int64_t count, double value, …);`
/// stands for five functions; kernels/cpu/fill.cpp defines the first three (it is compiled once per
/// instruction set), kernels/cuda/fill.cu the other two (compiled by nvcc and by the host compiler).
#define FOVEA_KERNEL(name, ...)         \
  void name(cpu::Scalar&, __VA_ARGS__); \
  void name(cpu::Avx2&, __VA_ARGS__);   \
  void name(cpu::Avx512&, __VA_ARGS__); \
  void name(simt::Grid&, __VA_ARGS__);  \
  void name(cuda::Stream&, __VA_ARGS__)
