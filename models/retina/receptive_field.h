// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <vector>

#include "models/retina/rate_model.h"
#include "models/retina/recording_file.h"
#include "nn/data/window_dataset.h"

namespace fovea::retina {

/// Where each cell looks: the pixel whose changes from frame to frame go with its rate most closely, over lags of up
/// to 250 ms. Changes, since the luminance of a natural scene is correlated over the whole screen; of both signs and of
/// their absolute value, whichever tells more, since a cell that answers both signs has next to no linear receptive
/// field. Maps of covariance (in SD of the pixel) are blurred by 1 px, those of absolute changes by 2 px.
///
/// returns  one for each cell; the middle of the screen for a cell that never fires
/// throws   ValueError if the history is shorter than 2 frames
std::vector<Position> receptive_field_centres(const nn::WindowDataset& data);

/// The centres that a recording's metadata tell ("cell_centres", as the simulated retina writes them); empty if they
/// tell none.
std::vector<Position> known_centres(const RecordingData& recording);

}  // namespace fovea::retina
