// SPDX-License-Identifier: Apache-2.0
#include "models/retina/linear_nonlinear.h"

#include "nn/init.h"

namespace fovea::retina {

LinearNonlinear::LinearNonlinear(const LinearNonlinearOptions& options, const Device& device)
    : filter_({.cells = options.cells,
               .history = options.history,
               .size = options.size,
               .cutout = options.cutout,
               .centres = options.centres},
              device),
      nonlinearity_(options.nonlinearity, options.cells, device) {
  filter_.bias.init = nn::init::constant(nonlinearity_.first_drive());
  add_child("filter", filter_);
  add_child("nonlinearity", nonlinearity_);
}

}  // namespace fovea::retina
