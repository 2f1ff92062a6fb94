// SPDX-License-Identifier: Apache-2.0
#pragma once

namespace fovea::apps {

/// "0.1.0"
const char* version();
/// Commit, build type and compiler of this program: "1a2b3c4-dirty release gcc-12.2.0"
const char* build_id();
/// "-O3 -DNDEBUG"
const char* build_options();
/// Whether this program has kernels for GPUs.
bool build_has_cuda();
/// "on (nvcc 13.0.88, architectures 90a)", or why not
const char* build_cuda();

}  // namespace fovea::apps
