// SPDX-License-Identifier: Apache-2.0
// The only file that a new commit recompiles.
#include "apps/version.h"

#include "build_id.h"  // written by the build

namespace fovea::apps {

const char* version() { return FOVEA_VERSION; }
const char* build_id() { return FOVEA_BUILD_ID; }

}  // namespace fovea::apps
