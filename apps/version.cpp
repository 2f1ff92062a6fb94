// SPDX-License-Identifier: Apache-2.0
// The only file that a new commit recompiles.
#include "apps/version.h"

#include "build_id.h"  // written by the build

namespace fovea::apps {

const char* version() { return FOVEA_VERSION; }
const char* build_id() { return FOVEA_BUILD_ID; }
const char* build_options() { return FOVEA_BUILD_OPTIONS; }
bool build_has_cuda() { return FOVEA_HAS_CUDA != 0; }
const char* build_cuda() { return FOVEA_BUILD_CUDA; }

}  // namespace fovea::apps
