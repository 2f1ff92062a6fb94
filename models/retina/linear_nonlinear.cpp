// SPDX-License-Identifier: Apache-2.0
#include "models/retina/linear_nonlinear.h"

#include "autograd/ops/elementwise.h"
#include "autograd/ops/reshape.h"
#include "nn/init.h"

namespace fovea::retina {

LinearNonlinear::LinearNonlinear(const LinearNonlinearOptions& options, const Device& device)
    : filter_(options.history * options.size * options.size, options.cells, device) {
  filter_.weight.init = nn::init::constant(0.0f);
  filter_.bias.init = nn::init::constant(0.0f);
  add_child("filter", filter_);
}

Var LinearNonlinear::drive(const Var& x) { return filter_(flatten(x)); }

}  // namespace fovea::retina
