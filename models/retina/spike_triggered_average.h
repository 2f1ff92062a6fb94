// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstdint>

#include "nn/data/window_dataset.h"

namespace fovea::retina {

/// Mean stimulus before a spike: Σ_t r(t)·x(t) / Σ_t r(t), with x(t) the normalised window that ends before
/// bin t; 0 for a cell that never fires. With correlated stimuli such as natural scenes it is a blurred version of
/// the cell's filter.
///
/// returns  [cells, history, H, W] f32, in the units of the normalised stimulus
/// source   de Boer and Kuyper 1968, "Triggered correlation"
Tensor spike_triggered_average(const nn::WindowDataset& data);

}  // namespace fovea::retina
