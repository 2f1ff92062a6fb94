// SPDX-License-Identifier: Apache-2.0
#include "apps/eval.h"
#include "tensor/errors.h"

namespace fovea::apps {

int evaluate(const EvalRequest&) { throw IoError("this build has no models yet"); }

}  // namespace fovea::apps
