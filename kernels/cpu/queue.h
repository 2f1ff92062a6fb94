// SPDX-License-Identifier: Apache-2.0
#pragma once

#include "kernels/cpu/pool.h"

/// A file kernels/cpu/X.cpp that is named after a contract kernels/ops/X.h is compiled once per instruction
/// set, and defines its entries on `cpu::Queue`: the pool type of that compile. gpu::Queue is its sister.
///
/// Such a file keeps everything but the entries in an anonymous namespace and calls no inline function of the
/// standard library that could be emitted out of line: the linker keeps one copy of those, and must not keep
/// one that holds AVX-512 instructions. A test looks for such symbols.
namespace fovea::cpu {
#if defined(__AVX512F__)
using Queue = Avx512;
#elif defined(__AVX2__)
using Queue = Avx2;
#else
using Queue = Scalar;
#endif
}  // namespace fovea::cpu
