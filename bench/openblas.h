// SPDX-License-Identifier: Apache-2.0
#pragma once

#include "bench/peers.h"

namespace fovea::bench {

/// OpenBLAS's own threads on a matmul: one call of sgemm for the whole product.
std::unique_ptr<Peer> make_openblas_peer(const Case& c, int threads, const Buffers& buffers);
/// "0.3.21"
std::string openblas_version();

}  // namespace fovea::bench
