// SPDX-License-Identifier: Apache-2.0
// The build defines both macros for this file alone, so that a new commit recompiles nothing else.
#include "apps/version.h"

#ifndef FOVEA_VERSION
#define FOVEA_VERSION "unknown"
#endif
#ifndef FOVEA_BUILD_ID
#define FOVEA_BUILD_ID "unknown build"
#endif

namespace fovea::apps {

const char* version() { return FOVEA_VERSION; }
const char* build_id() { return FOVEA_BUILD_ID; }

}  // namespace fovea::apps
