// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <vector>

#include "models/retina/deep_retina.h"

namespace fovea::retina {

/// Where a cell of a one-hot model has settled.
struct SelectedPlace {
  Position centre;  ///< middle of what that position of its map looks at, pixels of the screen
  double weight;    ///< share of the cell's selection that lies there, 0 … 1
};

/// One for each cell. throws ValueError unless the readout is one-hot
std::vector<SelectedPlace> selected_places(DeepRetina& model);

/// Lets each cell take the position of its largest weight and no other. throws as selected_places
void decide(DeepRetina& model);

}  // namespace fovea::retina
