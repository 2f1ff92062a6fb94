// SPDX-License-Identifier: Apache-2.0
#pragma once

/// Marks a function that runs in kernels and on the host alike. Always inlined, so that an object file
/// compiled for AVX-512 never hands its copy of the function to code that must run on an older machine.
#ifdef __CUDACC__
#define FOVEA_HOST_DEVICE __host__ __device__ __forceinline__
#else
#define FOVEA_HOST_DEVICE [[gnu::always_inline]] inline
#endif
