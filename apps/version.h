// SPDX-License-Identifier: Apache-2.0
#pragma once

namespace fovea::apps {

/// "0.1.0"
const char* version();
/// Commit, build type and compiler of this program: "1a2b3c4-dirty release gcc-12.2.0"
const char* build_id();

}  // namespace fovea::apps
