// SPDX-License-Identifier: Apache-2.0
#include "models/retina/rate_model.h"

#include "autograd/ops/elementwise.h"

namespace fovea::retina {

Var RateModel::rate(const Var& drive) { return softplus(drive); }

}  // namespace fovea::retina
