// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <functional>
#include <utility>
#include <variant>

#include "kernels/cpu/pool.h"
#include "kernels/simt/grid.h"
#if FOVEA_HAS_CUDA
#include "kernels/cuda/stream.h"
#endif

namespace fovea {

/// The queues of this build: the only `#if` about backends in host code outside of device.cpp and range.h.
using Queue = std::variant<
#if defined(__x86_64__)
    std::reference_wrapper<cpu::Avx512>, std::reference_wrapper<cpu::Avx2>,
#endif
#if FOVEA_HAS_CUDA
    std::reference_wrapper<cuda::Stream>,
#endif
    std::reference_wrapper<cpu::Scalar>, std::reference_wrapper<simt::Grid>>;

/// Calls f(queue) with the concrete queue; overload resolution inside f picks the backend.
template <class F>
decltype(auto) on(const Queue& queue, F&& f) {
  return std::visit([&](auto reference) -> decltype(auto) { return f(reference.get()); }, queue);
}

}  // namespace fovea
