// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstdint>

#include "nn/data/window_dataset.h"
#include "nn/module.h"

namespace fovea::retina {

/// A model's rates and the recorded ones for all samples of a data set, in order; host memory, Hz.
struct Predictions {
  Tensor rate;    ///< [samples, cells]
  Tensor target;  ///< [samples, cells]
};

/// Runs the model in inference mode (and puts it back as it was).
///
/// device  where the model is
/// batch   windows at a time; changes memory and time only
Predictions predict(nn::Module& model, const nn::WindowDataset& data, const Device& device,
                    std::int64_t batch = 256);

}  // namespace fovea::retina
