// SPDX-License-Identifier: Apache-2.0
#include "apps/data.h"
#include "tensor/errors.h"

namespace fovea::apps {

int make_data(const DataRequest&) { throw IoError("this build has no models yet"); }

}  // namespace fovea::apps
